"""Every public name says what it does, takes, returns and raises, and has an example; ``--doctest-modules`` runs it."""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DUNDERS = ("__call__", "__getitem__", "__len__")  # as in docs/_templates
HOOKS = ("edge_update", "message")  # called by PyG; docs/conf.py leaves them out
LONGEST_SUMMARY = 2  # lines

HEADING = re.compile(r"^(Args|Returns|Yields|Raises|Shapes|Attributes|Warns|Examples?|Notes?):$", re.MULTILINE)
ITEM = re.compile(r"^ {4}(?:- )?((?:\*{0,2}[\w.]+\*{0,2}(?:, )?)+)(?: \(.*?\))?:", re.MULTILINE)


@dataclass
class Documented:
    """A public class, function, method or property, with what its docstring and its code say."""

    name: str
    value: Any
    owner: "Documented | None" = None

    @cached_property
    def sections(self) -> dict[str, str]:
        start, *rest = HEADING.split(inspect.getdoc(self.value) or "")
        return {"Summary": start} | dict(zip(rest[::2], rest[1::2], strict=True))

    def listed(self, *headings: str) -> set[str]:
        """What sections list; a class may do it for its methods (``Shapes`` of what ``forward`` takes)."""
        items = [item for heading in headings for item in ITEM.findall(self.sections.get(heading, ""))]
        own = {name.strip("* ").rpartition(".")[2] for item in items for name in item.split(",")}
        return own | (self.owner.listed(*headings) if self.owner else set())

    @cached_property
    def code(self) -> list[Callable[..., Any]]:
        """The functions that run when it is called."""
        if not inspect.isclass(self.value):
            return [getattr(self.value, "fget", self.value)]
        if getattr(self.value, "_is_protocol", False):
            return []
        return [vars(self.value)[name] for name in ("__init__", "__post_init__") if name in vars(self.value)]

    @property
    def parameters(self) -> set[str]:
        if isinstance(self.value, property) or not (self.code or hasattr(self.value, "_fields")):
            return set()
        names = set(inspect.signature(self.value).parameters)
        return {name for name in names - {"self", "cls"} if not name.startswith("_")}

    @property
    def fields(self) -> set[str]:
        """The fields of a class that have a docstring below them."""
        if not inspect.isclass(self.value):
            return set()
        body = ast.parse(textwrap.dedent(inspect.getsource(self.value))).body[0].body
        return {
            field.target.id
            for field, text in pairwise(body)
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
        }

    @property
    def returns(self) -> bool:
        """Whether it returns what needs a section: the summary says what a property or a call without arguments is."""
        if not inspect.isroutine(self.value) or (self.owner and not self.parameters):
            return False
        return inspect.signature(self.value).return_annotation not in (None, "None", inspect.Signature.empty)

    @property
    def raised(self) -> set[str]:
        """The errors that its own lines raise."""
        functions = [inspect.unwrap(each) for each in self.code]
        written = [each for each in functions if each.__code__.co_filename != "<string>"]  # not by a dataclass
        trees = [ast.parse(textwrap.dedent(inspect.getsource(each))) for each in written]
        nodes = [node.exc for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Raise)]
        calls = [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        return {name for name in calls if name[0].isupper()}


def values() -> Iterator[tuple[str, Any]]:
    """What the API pages show: the public names of the packages and modules in the list."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in re.findall(r"^   (pyspiga_geo\.[\w.]+)$", page, re.MULTILINE):
        module = importlib.import_module(name)
        own = [each for each, value in vars(module).items() if getattr(value, "__module__", "") == name]
        for each in getattr(module, "__all__", own):
            if not each.startswith("_"):
                yield f"{name}.{each}", getattr(module, each)


def documented() -> Iterator[Documented]:
    """Classes and functions, with the methods and properties that the classes define."""
    for name, value in values():
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            continue  # a constant, whose text the documentation's build asks for
        thing = Documented(name, value)
        yield thing
        for each, member in vars(value).items() if inspect.isclass(value) else ():
            if each in HOOKS or (each.startswith("_") and each not in DUNDERS):
                continue
            # Of class methods without the class, as they are called.
            member = getattr(value, each) if isinstance(member, classmethod) else getattr(member, "__func__", member)
            function = getattr(member, "fget", member)
            if inspect.isroutine(function) and function.__module__ == value.__module__:  # PyG adds some of its own
                yield Documented(f"{name}.{each}", member, thing)


@pytest.fixture(scope="module")
def names() -> list[Documented]:
    found = list(documented())
    assert len(found) > 250
    return found


def test_each_name_has_a_summary(names: list[Documented]) -> None:
    summaries = {each.name: each.sections["Summary"].partition("\n\n")[0].strip() for each in names}
    assert not [name for name, text in summaries.items() if not 1 <= len(text.splitlines()) <= LONGEST_SUMMARY]


def test_each_parameter_is_described(names: list[Documented]) -> None:
    lacking = {each.name: each.parameters - each.listed("Args", "Attributes", "Shapes") - each.fields for each in names}
    assert not {name: sorted(parameters) for name, parameters in lacking.items() if parameters}


def test_no_other_parameter_is_described(names: list[Documented]) -> None:
    own = {each.name: Documented(each.name, each.value).listed("Args") - each.parameters for each in names}
    assert not {name: sorted(parameters) for name, parameters in own.items() if parameters}


def test_each_result_is_described(names: list[Documented]) -> None:
    """By a section, or by ``output`` among the shapes of the class."""
    said = [each for each in names if each.sections.keys() & {"Returns", "Yields"} or "output" in each.listed("Shapes")]
    assert not [each.name for each in names if each.returns and each not in said]


def test_each_error_is_described(names: list[Documented]) -> None:
    lacking = {each.name: each.raised - each.listed("Raises") for each in names}
    assert not {name: sorted(errors) for name, errors in lacking.items() if errors}


def test_each_class_and_function_has_an_example(names: list[Documented]) -> None:
    runs = re.compile(r"^ +>>> (?!.*doctest: \+SKIP)", re.MULTILINE)
    assert not [each.name for each in names if not each.owner and not runs.search(each.sections.get("Example", ""))]
