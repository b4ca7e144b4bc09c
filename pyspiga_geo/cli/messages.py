"""What goes wrong, in one sentence on standard error."""

import sys


def complain(reason: str) -> None:
    """Print a reason; its further lines are indented."""
    lines = [" ".join(line.split()) for line in reason.splitlines()]
    print("pyspiga-geo: " + "\n  ".join(lines), file=sys.stderr)
