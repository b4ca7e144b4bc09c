"""The directive ``landmark-table``: index, id, contours, mirror and name of every landmark of a layout."""

from collections.abc import Sequence

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from pyspiga_geo.layouts import Layout, get_layout

HEADER = ("index", "id", "contours", "mirror", "name")

NAMES = {
    1: "outer end of the right eyebrow",
    2: "middle of the right eyebrow",
    3: "inner end of the right eyebrow",
    4: "inner end of the left eyebrow",
    5: "middle of the left eyebrow",
    6: "outer end of the left eyebrow",
    7: "outer corner of the right eye",
    8: "inner corner of the right eye",
    9: "middle of the right upper lid",
    10: "middle of the right lower lid",
    11: "inner corner of the left eye",
    12: "outer corner of the left eye",
    13: "middle of the left upper lid",
    14: "middle of the left lower lid",
    16: "right end of the nose base",
    17: "tip of the nose",
    18: "left end of the nose base",
    20: "right corner of the mouth",
    21: "left corner of the mouth",
    22: "middle of the upper lip's top edge",
    23: "middle of the lower lip's bottom edge",
    24: "tip of the chin",
    196: "right pupil",
    197: "left pupil",
}
"""What an id names, where it has a name of its own; the others are told by their place on a contour."""


def rows(layout: Layout) -> list[tuple[str, ...]]:
    """One row a landmark, in the order of HEADER."""
    return [
        (
            str(index),
            str(number),
            ", ".join(_contours(layout, index)) or "none",
            str(layout.flip[index]),
            NAMES.get(number) or _place(layout, index),
        )
        for index, number in enumerate(layout.ids)
    ]


def _contours(layout: Layout, index: int) -> list[str]:
    return [name for name, members in layout.contours.items() if index in members]


def _place(layout: Layout, index: int) -> str:
    contour = _contours(layout, index)[0]
    members = layout.contours[contour]
    return f"{contour.replace('_', ' ')}, {members.index(index) + 1} of {len(members)}"


class LandmarkTable(Directive):
    """``.. landmark-table:: ibug68``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in HEADER), cols=len(HEADER))
        group += nodes.thead("", _row(HEADER))
        group += nodes.tbody("", *(_row(cells) for cells in rows(get_layout(self.arguments[0]))))
        return [nodes.table("", group, classes=["landmarks"])]


def _row(cells: Sequence[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in cells))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("landmark-table", LandmarkTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
