"""Error messages, in one sentence on standard error."""

import sys


def complain(reason: str) -> None:
    """Print a reason; its further lines are indented."""
    lines = [" ".join(line.split()) for line in reason.splitlines()]
    print("pyspiga-geo: " + "\n  ".join(lines), file=sys.stderr)


def describe(error: ValueError | OSError) -> str:
    """The reason as a sentence; if a file cannot be read or written, its name comes first."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
