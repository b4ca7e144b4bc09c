"""The API pages: every public name is on them, and docstrings may call each name by its last part alone."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from functools import cache
from pprint import pformat
from typing import Any, get_origin

import numpy as np
from docutils import nodes
from numpy.typing import ArrayLike, NDArray
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject
from sphinx.domains.python._annotations import _parse_annotation
from sphinx.environment import BuildEnvironment
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.typing import stringify_annotation

import pyspiga_geo

logger = logging.getLogger(__name__)


LONGEST_VALUE = 120
"""Characters of the longest value of a constant that is shown on its line."""


@cache
def _aliases() -> dict[str, str]:
    """How autodoc writes out types that have a name, longest first, and the name."""
    named: dict[str, Any] = {"numpy.typing.ArrayLike": ArrayLike}
    for kind in (np.float64, np.uint8, np.bool_, np.generic):
        named[f"numpy.typing.NDArray[~numpy.{kind.__name__}]"] = NDArray[kind]
    for package, names in subpackages():
        for name in names:
            value = _object(f"{package}.{name}")
            if get_origin(value) is not None:
                named[f"{package}.{name}"] = value
    written = {stringify_annotation(value, "smart"): f"~{name}" for name, value in named.items()}
    return dict(sorted(written.items(), key=lambda pair: -len(pair[0])))


def subpackages() -> Iterator[tuple[str, list[str]]]:
    """The packages that list their public names, with those names."""
    found = pkgutil.walk_packages(pyspiga_geo.__path__, f"{pyspiga_geo.__name__}.")
    for name in (pyspiga_geo.__name__, *(info.name for info in found if info.ispkg)):
        names = getattr(importlib.import_module(name), "__all__", None)
        if names is not None:
            yield name, list(names)


def long_values() -> list[str]:
    """The public names whose values are too long to show, by full name."""
    return [
        f"{package}.{name}"
        for package, names in subpackages()
        for name in names
        if len(repr(_object(f"{package}.{name}"))) > LONGEST_VALUE
    ]


def _check_all_are_there(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each public name without an entry; one that another package shows too needs no second."""
    documented = env.domains.python_domain.objects
    shown = {id(_object(name)) for name in documented if _is_ours(name)}
    for package, names in subpackages():
        for name in names:
            if f"{package}.{name}" not in documented and id(_object(f"{package}.{name}")) not in shown:
                logger.warning("public name without documentation: %s.%s", package, name)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == pyspiga_geo.__name__


def _object(name: str) -> Any:
    """What a dotted name of ours stands for; None where only a docstring knows it."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        return None


def _by_last_part(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.Element) -> Any:
    """Resolve ``FaceData``, or the file it is defined in, to ``pyspiga_geo.graph.FaceData``."""
    if node.get("refdomain") != "py":
        return None
    last = node["reftarget"].rpartition(".")[2]
    found = [
        name
        for name, entry in env.domains.python_domain.objects.items()
        if name.endswith(f".{last}") and _is_ours(name) and not entry.aliased
    ]
    if len(found) != 1:
        return None
    node["reftarget"] = found[0]
    return env.domains.python_domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], found[0], node, text
    )


def _mend_docstring(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Find the text below a constant, and keep napoleon from reading what stands before a colon as a type."""
    if what == "data":
        lines[:] = _text_below(name)
        if not lines:
            logger.warning("constant without a docstring: %s", name)
        if len(repr(value)) > LONGEST_VALUE and _is_plain(value):
            shown = pformat(value, width=100, sort_dicts=False).splitlines()
            lines += ["", ".. code-block:: python", "", *(f"    {line}" for line in shown)]
    starts = [index + 1 for index, line in enumerate(lines[:-1]) if line.strip() in ("Returns:", "Yields:")]
    if what in ("data", "attribute", "property") and lines:
        starts.append(0)
    for start in starts:
        text = lines[start].lstrip()
        if ":" in text:
            lines[start] = lines[start].replace(text, f": {text}")  # the type before the first colon is empty


def _is_plain(value: Any) -> bool:
    """Whether it is made of numbers and strings alone."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _mend_signature(
    app: Sphinx, what: str, name: str, value: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write a default of ``<factory>``, which is no expression that could be parsed, as ``...``."""
    return signature and signature.replace("<factory>", "..."), returns


def _with_names(annotation: str, env: BuildEnvironment) -> list[nodes.Node]:
    """Show a type by the name that it has in the source; no event tells those of overloads and properties."""
    for written, name in _aliases().items():
        annotation = annotation.replace(written, name)
    return _parse_annotation(annotation, env)


def _text_below(name: str) -> list[str]:
    """The docstring of a constant, in its module, or in the file from which its package imports it."""
    module, _, constant = name.rpartition(".")
    files = [info.name for info in pkgutil.walk_packages(pyspiga_geo.__path__, f"{pyspiga_geo.__name__}.")]
    for file in sorted((module, *files), key=lambda file: not file.startswith(module)):  # its own files first
        try:
            comments = ModuleAnalyzer.for_module(file).find_attr_docs()
        except PycodeError:
            continue
        if ("", constant) in comments:
            return comments["", constant]
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the build."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    for module in ("", "._annotations", "._object"):
        importlib.import_module(f"sphinx.domains.python{module}")._parse_annotation = _with_names  # type: ignore[attr-defined]
    app.connect("env-check-consistency", _check_all_are_there)
    app.connect("missing-reference", _by_last_part)
    app.connect("autodoc-process-signature", _mend_signature)
    app.connect("autodoc-process-docstring", _mend_docstring, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
