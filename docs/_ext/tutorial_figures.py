"""Figures of tutorials stand in a box of their own, in which they can scroll on a narrow screen."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx_gallery.directives import imgsgnode


def _into_boxes(app: Sphinx, doctree: nodes.document) -> None:
    for figure in list(doctree.findall(imgsgnode)):
        box = nodes.container(classes=["tutorial-figure"])
        figure.replace_self(box)
        box += figure


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the build."""
    app.connect("doctree-read", _into_boxes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
