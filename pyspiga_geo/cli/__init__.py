"""The command line. Each command says in one sentence what went wrong, and then exits with 1."""

import io
import sys
from collections.abc import Sequence

from pyspiga_geo.cli.arguments import parser, refuse_code_in
from pyspiga_geo.cli.messages import complain, describe


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; ``argv`` defaults to the arguments of the process.

    Raises:
        SystemExit: with 1 after a message when the command could not do its work, 2 for wrong usage, 130 when
            interrupted.
    """
    program = parser()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no Unicode
    try:
        refuse_code_in(sys.argv[1:] if argv is None else argv)
        namespace = program.instantiate(program.parse_args(argv))
        # Not before: to print help or to refuse an argument nothing heavy is needed.
        from pyspiga_geo.cli.commands import COMMANDS

        COMMANDS[namespace.command](namespace[namespace.command])
    except (ValueError, OSError) as error:
        complain(describe(error))
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        complain("interrupted")
        raise SystemExit(130) from error
