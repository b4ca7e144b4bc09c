"""The cells of the ablation: cascades that differ from one another in one or two things."""

import re
from dataclasses import dataclass, replace
from itertools import product

_POSITION_WORDS = {
    "bottleneck": "positions through a bottleneck",
    "absolute": "absolute position",
    "both": "relative and absolute position",
    "unknown": "no positions",
}


@dataclass(frozen=True)
class Cell:
    """One cascade of the table. The defaults are the cascade that all others are compared with.

    Attributes:
        conv: graph operator, see :func:`pyspiga_geo.nn.make_conv`; ``none`` sends no messages. ``FILE.py:NAME`` is one
            of your own.
        steps: steps of the cascade.
        start: x_0 is the projected rigid face (``pose``) or the mean of all training faces (``mean``).
        windows: halved from step to step (``shrinking``), or those of the second step in all steps (``constant``).
        position: what a landmark is told of its place: where all others lie (``relative``, as in the paper), the same
            through a bottleneck (``bottleneck``), where itself lies (``absolute``), both relative and absolute
            (``both``), or only which landmark it is (``unknown``).
        include_self: whether a landmark attends to itself.
        graph: ``complete``, ``contour`` (neighbours on the contours) or ``nearest`` (in the rigid face).
        heatmaps: whether each landmark also looks at its own heatmap.
        maps: all steps look at the finest map (``fine``), or the first one at the coarsest (``both``), as in the model.
        shared: whether all steps use the same linear maps.
        looking: one landmark in so many looks at the picture; the others see nothing.
        visibility: whether each landmark is told if something hides it. This is the truth, which no user has: an upper
            bound on what messages gain by it.
    """

    conv: str = "attention"
    steps: int = 3
    start: str = "pose"
    windows: str = "shrinking"
    position: str = "relative"
    include_self: bool = False
    graph: str = "complete"
    heatmaps: bool = False
    maps: str = "fine"
    shared: bool = False
    looking: int = 1
    visibility: bool = False

    @property
    def setting(self) -> str:
        """All differences from the default cell except the operator, in words; empty for none."""
        words = {
            "steps": f"{self.steps} step{'s' if self.steps > 1 else ''}",
            "start": f"{self.start} shape",
            "windows": f"{self.windows} windows",
            "position": _POSITION_WORDS.get(self.position, ""),
            "include_self": "self included",
            "graph": f"{self.graph} graph",
            "heatmaps": "heatmap windows",
            "maps": "coarse map first",
            "shared": "steps share weights",
            "looking": f"1 in {self.looking} looks",
            "visibility": "visibility told",
        }
        base = Cell()
        return ", ".join(word for key, word in words.items() if getattr(self, key) != getattr(base, key))

    @property
    def name(self) -> str:
        """Operator and setting."""
        return ": ".join(filter(None, (self.conv, self.setting)))


def _with_and_without_messages(**changes: object) -> list[Cell]:
    return [Cell("attention", **changes), Cell("none", **changes)]  # type: ignore[arg-type]


OPERATORS = [Cell(conv) for conv in ("attention", "none", "gcn", "gat", "sage", "transformer", "gatv2")]
CELLS = [
    *OPERATORS,
    # what the paper ablates
    *_with_and_without_messages(steps=1),
    *_with_and_without_messages(steps=2),
    Cell(steps=4),
    *_with_and_without_messages(start="mean"),
    Cell(windows="constant"),
    *_with_and_without_messages(position="absolute"),
    Cell(include_self=True),
    Cell(graph="contour"),
    Cell(graph="nearest"),
    Cell("gcn", graph="nearest"),
    # what might make messages matter
    *_with_and_without_messages(position="unknown"),
    *_with_and_without_messages(position="bottleneck"),
    *_with_and_without_messages(position="both"),
    *_with_and_without_messages(looking=4),
    *_with_and_without_messages(looking=4, steps=1),
    *_with_and_without_messages(looking=4, position="unknown"),
    *_with_and_without_messages(heatmaps=True),
    *_with_and_without_messages(heatmaps=True, position="unknown"),
    *_with_and_without_messages(shared=True),
    *_with_and_without_messages(visibility=True),
]
QUICK_CELLS = [
    *(Cell(conv) for conv in ("attention", "none", "gcn", "gat")),
    *_with_and_without_messages(steps=1),
    *_with_and_without_messages(position="unknown"),
]
"""Few enough for a first look."""
GRID = [
    Cell(conv, position=position, heatmaps=heatmaps, maps=maps)
    for position, heatmaps, maps, conv in product(
        ("relative", "unknown"), (False, True), ("fine", "both"), ("attention", "gcn", "none")
    )
]
"""Three operators with and without all that the cascade of the shipped models is given."""


def cell_by_name(name: str) -> Cell:
    """The cell of this name.

    An operator of one's own may stand for that of any cell, as in ``my_conv.py:MaxConv: 1 step``.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
    """
    for cell in (*CELLS, *GRID):
        if cell.name == name:
            return cell
    if own := re.fullmatch(r"(.+\.py:\w+)(?:: (.+))?", name):
        for cell in CELLS:
            if cell.setting == (own[2] or ""):
                return replace(cell, conv=own[1])
    known = "; ".join(cell.name for cell in CELLS)
    raise ValueError(f"unknown cell {name!r}; known: {known}; an operator of your own is FILE.py:NAME")
