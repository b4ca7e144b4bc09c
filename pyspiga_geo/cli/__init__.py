"""The command line. Each command reports an error in one sentence and then exits with status 1."""

import io
import sys
from collections.abc import Sequence

from pyspiga_geo.cli.arguments import parser, refuse_code_in
from pyspiga_geo.cli.messages import complain, describe

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command, as ``pyspiga-geo`` does.

    Args:
        argv: the arguments. Default: those of the process.

    Raises:
        SystemExit: with 1 after a message if the command failed, 2 for wrong usage, 130 if interrupted.

    Example:
        >>> try:
        ...     main(["--version"])
        ... except SystemExit as exit:
        ...     print("status", exit.code)
        pyspiga-geo ...
        status 0
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
