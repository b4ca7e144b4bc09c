"""``.. command-line::``: every command with its arguments, types and defaults, read off the parser."""

import argparse
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx

from pyspiga_geo.cli.arguments import parser

HIDDEN = ("help", "print_config")


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by name."""
    (subcommands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(subcommands._name_parser_map)


def arguments(command: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """What a user may give, without groups, help and what jsonargparse adds of its own."""
    for action in command._actions:
        whole_group = type(action).__name__ == "_ActionConfigLoad"  # `--loss FILE` beside `--loss.pose`
        if action.dest not in HIDDEN and action.help != argparse.SUPPRESS and not whole_group:
            yield action


def usage(action: argparse.Action) -> str:
    """``--bbox X Y W H``, or the name of a positional argument."""
    many = action.nargs in ("+", "*")
    names = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,)
    value = " ".join(str(name) for name in names if name) or _kind(action)
    value = "NAME" if action.dest == "config" else value
    if not action.option_strings:
        return f"{value or action.dest} ..." if many else value or action.dest
    name = max(action.option_strings, key=len)
    takes_none = action.nargs == 0 or type(action).__name__.startswith("_StoreTrue")
    return name if takes_none or not value else f"{name} {value}{' ...' if many else ''}"


def _kind(action: argparse.Action) -> str:
    kind = getattr(action, "_typehint", None) or action.type
    known = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH", bool: "true|false"}
    if kind in known:
        return known[kind]
    values = getattr(kind, "__args__", ())
    if values and all(isinstance(value, str) for value in values):
        return "|".join(values)
    names = [known.get(value, "") for value in values if value is not type(None)]
    if names and all(names):
        return "|".join(names)
    name = getattr(kind, "__name__", "")
    return {"PositiveInt": "INT", "NonNegativeInt": "INT"}.get(name, "VALUE" if kind else "")


def default(action: argparse.Action) -> str:
    """The default as it would be written on the command line; nothing where there is none."""
    value: Any = action.default
    if value is None or value is argparse.SUPPRESS or value is False or value == []:
        return ""
    value = value.value if isinstance(value, Enum) else value
    return f" Default: ``{value}``."


def lines() -> Iterator[str]:
    """The page as reStructuredText."""
    for name, command in commands().items():
        yield from (f".. _command-{name}:", "", name, "-" * len(name), "")
        positional = [usage(action) for action in arguments(command) if not action.option_strings]
        yield from ("::", "", "    " + " ".join(["pyspiga-geo", name, *positional, "[options]"]), "")
        yield from (_prose(command.description or ""), "")
        for action in arguments(command):
            needed = " Required." if action.required and action.option_strings and not default(action) else ""
            text = _prose(action.help or "").rstrip(".") + f".{needed}{default(action)}"
            yield from (f"``{usage(action)}``", f"    {text}", "")


def _prose(text: str) -> str:
    """Help as reStructuredText: options as literals, so that their dashes stay two."""
    text = " ".join(text.split()).replace("*", "\\*")
    return re.sub(r"(?<![\w`-])(--[a-z][\w-]*)", r"``\1``", text)


class CommandLine(Directive):
    """All commands, a section each."""

    def run(self) -> list[nodes.Node]:
        """Parse the generated text where the directive stands."""
        return self.parse_text_to_nodes("\n".join(lines()), allow_section_headings=True)

    def parse_text_to_nodes(self, text: str, allow_section_headings: bool) -> list[nodes.Node]:
        """As Sphinx's own, on docutils alone."""
        node = nodes.Element(document=self.state.document)
        content = StringList(text.splitlines(), source="the parser of pyspiga-geo")
        self.state.nested_parse(content, self.content_offset, node, match_titles=allow_section_headings)
        return list(node.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
