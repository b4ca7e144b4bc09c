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

MEASURES = {"nme": "", "nll": "nll_"}
"""What is measured, and how its columns in the file begin."""

TITLES = {
    "nme": "Error, percent of the distance of the outer eye corners",
    "nll": "Negative log-likelihood of the truth, nats per landmark (less is better)",
}

Conditions = dict[str, tuple[str, Tensor]]
"""Name -> (which evaluation faces, which of their landmarks [F, L])."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a cell under a condition, over all its seeds.

    Attributes:
        mean: over seeds and faces.
        spread: standard deviation over the seeds; NaN for one.
        per_seed: the mean of each training.
        versus_attention: compared with the same cell with attention: this one minus the other. None where there is no
            such cell, or it is this one.
        versus_none: the same with the cell that sends no messages.
        versus_base: the same with the base, attention and nothing changed.
    """

    mean: float
    spread: float
    per_seed: tuple[float, ...]
    versus_attention: Difference | None
    versus_none: Difference | None
    versus_base: Difference | None


@dataclass(frozen=True)
class Row:
    """A cell under a condition.

    Attributes:
        cell: name of the cell.
        condition: name of the condition.
        faces: how many faces it holds.
        seeds: how many trainings.
        parameters: of the cascade.
        milliseconds: of a training step.
        nme: errors in percent of the eye corners' distance.
        nll: negative log-likelihood of the true positions in percent of that distance, nats.
    """

    cell: str
    condition: str
    faces: int
    seeds: int
    parameters: int
    milliseconds: float
    nme: Measured
    nll: Measured


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
        errors = {
            cell: _by_seed_and_face([result.errors[faces] for result in found], chosen)
            for cell, found in results.items()
        }
        surprises = {
            cell: _by_seed_and_face([result.surprises[faces] for result in found], chosen)
            for cell, found in results.items()
        }
        for cell, found in results.items():
            rows.append(
                Row(
                    cell.name,
                    condition,
                    errors[cell].shape[1],
                    len(found),
                    found[0].parameters,
                    float(np.median([result.milliseconds for result in found])),
                    _measured(cell, errors),
                    _measured(cell, surprises),
                )
            )
    return rows


def _measured(cell: Cell, values: Mapping[Cell, FloatArray]) -> Measured:
    """One cell among all, of whose trainings there are the values [seeds, F]."""
    own = values[cell]
    per_seed = own.mean(axis=1) if own.size else np.full(len(own), np.nan)
    others = [replace(cell, conv="attention"), replace(cell, conv="none"), Cell()]
    return Measured(
        float(per_seed.mean()),
        float(per_seed.std(ddof=1)) if len(own) > 1 else float("nan"),
        tuple(per_seed.tolist()),
        *(_compare(own, values.get(other)) for other in others),
    )


def _compare(values: FloatArray, reference: FloatArray | None) -> Difference | None:
    if reference is None or reference is values or not values.size:
        return None
    return compare_trainings(values, reference)


def _by_seed_and_face(found: Sequence[Tensor], chosen: Tensor) -> FloatArray:
    """Mean [seeds, F] over the chosen landmarks, of the faces that have any."""
    values = torch.where(chosen, torch.stack(list(found)).double(), torch.nan).nanmean(dim=2)
    return values[:, values[0].isfinite()].numpy()


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows; each comparison becomes the columns of a :class:`Difference`."""
    lines = [_columns(row) for row in rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def _columns(row: Row) -> dict[str, object]:
    columns = {name: value for name, value in vars(row).items() if name not in MEASURES}
    for name, prefix in MEASURES.items():
        found: Measured = getattr(row, name)
        columns[name] = found.mean
        columns[f"{prefix}spread"] = found.spread
        columns[f"{prefix}per_seed"] = " ".join(f"{value:.4f}" for value in found.per_seed)
        for other in ("versus_attention", "versus_none", "versus_base"):
            difference = getattr(found, other)
            for part in Difference.__dataclass_fields__:
                columns[f"{prefix}{other}_{part}"] = getattr(difference, part, "")
    return {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in columns.items()}


def as_text(rows: Sequence[Row]) -> str:
    """The tables for the screen: one line per cell, its figures under the main conditions, comparisons on all faces."""
    return "\n\n".join(f"{TITLES[measure]}\n{_table(rows, measure)}" for measure in MEASURES)


def _table(rows: Sequence[Row], measure: str) -> str:
    shown = ("all", "far start", "occluded", "occluded: hidden")
    of_cell: dict[str, dict[str, Row]] = {}
    for row in rows:
        of_cell.setdefault(row.cell, {})[row.condition] = row
    width = max(len(name) for name in of_cell)
    head = f"{'cell':{width}}  seeds  parameters  ms/step  " + "  ".join(f"{name:>16}" for name in shown)
    lines = [f"{head}  {'minus attention':>26}  {'minus none':>26}"]
    for name, found in of_cell.items():
        everything = found["all"]
        figures: list[Measured] = [getattr(found[key], measure) for key in shown]
        values = "  ".join(f"{f'{figure.mean:.3f} ± {figure.spread:.3f}':>16}" for figure in figures)
        lines.append(
            f"{name:{width}}  {everything.seeds:5}  {everything.parameters:10,}  {everything.milliseconds:7.0f}  "
            f"{values}  {_in_words(figures[0].versus_attention):>26}  {_in_words(figures[0].versus_none):>26}"
        )
    return "\n".join(lines)


def _in_words(found: Difference | None) -> str:
    return f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]" if found else ""
