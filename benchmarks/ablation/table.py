"""From the errors of all cells to one table: means, spreads, paired comparisons, by condition."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ablation.cells import Cell
from ablation.difference import Difference, FloatArray, compare_trainings
from ablation.features import Seen
from ablation.results import Result, percent
from pyspiga_geo import SPIGA
from pyspiga_geo.training.targets import pose_targets

YAW = (10.0, 20.0)
"""Degrees of yaw that a frontal face stays below, and a turned one comes to."""

Conditions = dict[str, tuple[str, Tensor]]
"""Name -> (which evaluation faces, which of their landmarks [F, L])."""


@dataclass(frozen=True)
class Row:
    """A cell under a condition, over all its seeds. Errors in percent of the eye corners' distance.

    Attributes:
        cell: name of the cell.
        condition: name of the condition.
        faces: how many faces it holds.
        seeds: how many trainings.
        nme: mean over seeds and faces.
        spread: standard deviation over the seeds; NaN for one.
        parameters: of the cascade.
        milliseconds: of a training step.
        per_seed: the error of each training.
        versus_attention: compared with the same cell with attention: error minus that of the other. None where there
            is no such cell, or it is this one.
        versus_none: the same with the cell that sends no messages.
        versus_base: the same with the base, attention and nothing changed.
    """

    cell: str
    condition: str
    faces: int
    seeds: int
    nme: float
    spread: float
    parameters: int
    milliseconds: float
    per_seed: tuple[float, ...]
    versus_attention: Difference | None
    versus_none: Difference | None
    versus_base: Difference | None


def conditions(clear: Seen, occluded: Seen, model: SPIGA) -> Conditions:
    """Groups of faces, and of landmarks, that tell where messages might matter."""
    start = percent(clear.initial, clear.truth(), model.layout).nanmean(dim=1)
    yaw = pose_targets(clear.pos, clear.mask, model.layout, model.config.focal_ratio)[:, 0].abs()
    low, high = start.nanquantile(torch.tensor([1 / 3, 2 / 3]))
    hidden = (clear.visible > 0) & (occluded.visible == 0)

    def of_faces(chosen: Tensor) -> tuple[str, Tensor]:
        return "clear", chosen[:, None].expand_as(clear.mask)

    everything = torch.ones_like(clear.mask)
    return {
        "all": ("clear", everything),
        f"yaw below {YAW[0]:.0f}°": of_faces(yaw < YAW[0]),
        f"yaw {YAW[0]:.0f}° to {YAW[1]:.0f}°": of_faces((yaw >= YAW[0]) & (yaw < YAW[1])),
        f"yaw above {YAW[1]:.0f}°": of_faces(yaw >= YAW[1]),
        "near start": of_faces(start <= low),
        "far start": of_faces(start >= high),
        "occluded": ("occluded", everything),
        "occluded: hidden": ("occluded", hidden),
        "occluded: in sight": ("occluded", ~hidden),
    }


def make_rows(results: Mapping[Cell, Sequence[Result]], groups: Conditions) -> list[Row]:
    """All cells under all conditions."""
    rows = []
    for condition, (faces, chosen) in groups.items():
        errors = {cell: _by_seed_and_face(found, faces, chosen) for cell, found in results.items()}
        for cell, found in results.items():
            own = errors[cell]
            others = [replace(cell, conv="attention"), replace(cell, conv="none"), Cell()]
            per_seed = own.mean(axis=1) if own.size else np.full(len(found), np.nan)
            rows.append(
                Row(
                    cell.name,
                    condition,
                    own.shape[1],
                    len(found),
                    float(per_seed.mean()),
                    float(per_seed.std(ddof=1)) if len(found) > 1 else float("nan"),
                    found[0].parameters,
                    float(np.median([result.milliseconds for result in found])),
                    tuple(per_seed.tolist()),
                    *(_compare(own, errors.get(other)) for other in others),
                )
            )
    return rows


def _compare(errors: FloatArray, reference: FloatArray | None) -> Difference | None:
    if reference is None or reference is errors or not errors.size:
        return None
    return compare_trainings(errors, reference)


def _by_seed_and_face(found: Sequence[Result], faces: str, chosen: Tensor) -> FloatArray:
    """Mean error [seeds, F] over the chosen landmarks, of the faces that have any."""
    errors = torch.stack([result.errors[faces] for result in found]).double()
    errors = torch.where(chosen, errors, torch.nan).nanmean(dim=2)
    return errors[:, errors[0].isfinite()].numpy()


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows; each comparison becomes the columns of a :class:`Difference`."""
    lines = [_columns(row) for row in rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def _columns(row: Row) -> dict[str, object]:
    columns = {name: value for name, value in vars(row).items() if not name.startswith("versus")}
    columns["per_seed"] = " ".join(f"{value:.4f}" for value in row.per_seed)
    for name in ("versus_attention", "versus_none", "versus_base"):
        found = getattr(row, name)
        columns |= {f"{name}_{part}": getattr(found, part, "") for part in Difference.__dataclass_fields__}
    return {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in columns.items()}


def as_text(rows: Sequence[Row]) -> str:
    """The table for the screen: one line per cell, its error under the main conditions, comparisons on all faces."""
    shown = ("all", "far start", "occluded", "occluded: hidden")
    of_cell: dict[str, dict[str, Row]] = {}
    for row in rows:
        of_cell.setdefault(row.cell, {})[row.condition] = row
    width = max(len(name) for name in of_cell)
    head = f"{'cell':{width}}  seeds  parameters  ms/step  " + "  ".join(f"{name:>16}" for name in shown)
    lines = [f"{head}  {'minus attention':>26}  {'minus none':>26}"]
    for name, found in of_cell.items():
        everything = found["all"]
        errors = "  ".join(f"{f'{found[key].nme:.3f} ± {found[key].spread:.3f}':>16}" for key in shown)
        lines.append(
            f"{name:{width}}  {everything.seeds:5}  {everything.parameters:10,}  {everything.milliseconds:7.0f}  "
            f"{errors}  {_in_words(everything.versus_attention):>26}  {_in_words(everything.versus_none):>26}"
        )
    return "\n".join(lines)


def _in_words(found: Difference | None) -> str:
    return f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]" if found else ""
