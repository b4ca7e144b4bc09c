"""What a run came to: a page with curves, figures, the error of each landmark, the best and the worst faces."""

import csv
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import DataLoader

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.evaluation import (
    auc_fr,
    face_errors,
    head_pose_errors,
    landmark_errors,
    nme,
    normaliser,
    normaliser_text,
    percentiles,
)
from pyspiga_geo.evaluation.metrics import masked_mean
from pyspiga_geo.models import SPIGA
from pyspiga_geo.training.targets import pose_targets
from pyspiga_geo.visualization import error_map, face_sheet, mean_face, save_figure

STAGES = ("landmarks", "pose", "cascade", "joint", "uncertainty")


def write_report(folder: Path, model: SPIGA, validation: DataLoader) -> Path:
    """Measure a trained model on the validation faces and write ``report.md`` with its pictures.

    Args:
        folder: of the run, with a folder of logs for each stage.
        model: in evaluation mode.
        validation: batches of plain crops; may be empty, and then there are only curves.

    Returns:
        Path of the page.
    """
    lines = ["# Training report", ""]
    if any((folder / stage / "csv").is_dir() for stage in STAGES):
        save_figure(folder / "curves.png", _curves(folder))
        lines += ["![Losses and validation errors](curves.png)", ""]
    if len(validation.dataset):  # type: ignore[arg-type]
        lines += _measure(folder, model, validation)
    page = folder / "report.md"
    with atomic_path(page) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    return page


def _measure(folder: Path, model: SPIGA, validation: DataLoader) -> list[str]:
    seen = _predict(model, validation)
    layout, unit = model.layout, normaliser_text(model.layout.norm)
    scale = normaliser(seen["truth"].numpy(), layout.ids, layout.norm)
    measured = scale > 0
    if not measured.any():
        return [f"No validation face has {unit}, in which errors would be measured.", ""]
    seen, scale = {name: value[measured] for name, value in seen.items()}, scale[measured]
    images, truth, pose = seen.pop("images"), seen.pop("truth"), seen.pop("pose")
    errors = {name: landmark_errors(pos.numpy(), truth.numpy(), scale) for name, pos in seen.items()}
    final = list(seen)[-1]
    of_face = face_errors(errors[final])
    p90, p95, p99 = percentiles(of_face)
    auc, fr = auc_fr(of_face, 8)

    of_landmark = {final: masked_mean(errors[final], axis=0)}
    label = f"mean error, % of {unit}"
    save_figure(folder / "error_per_landmark.png", error_map(mean_face(truth.numpy()), of_landmark, label))
    order = np.argsort(of_face)
    best, worst = order[:4], order[4:][::-1][:8]  # of few faces none is both
    chosen = [*best, *worst]
    captions = [f"best: {of_face[face]:.2f} %" for face in best] + [f"worst: {of_face[face]:.2f} %" for face in worst]
    sheet = face_sheet(images[chosen], truth[chosen], seen[final][chosen], layout, captions)
    save_figure(folder / "best_and_worst.png", sheet)

    rows = [f"| {name} | {nme(error):.3f} |" for name, error in errors.items()]
    return [
        f"{len(truth)} validation faces, errors in percent of {unit}.",
        "",
        *("| positions | NME |", "|---|---|", *rows),
        "",
        f"Of {final}: P90 {p90:.3f}, P95 {p95:.3f}, P99 {p99:.3f}, AUC_8 {auc:.2f}, FR_8 {fr:.2f}.",
        *_pose_lines(pose, pose_targets(truth, truth.isfinite().all(dim=2), layout, model.config.focal_ratio)),
        "",
        "![Error of each landmark](error_per_landmark.png)",
        "",
        "![The best and the worst faces](best_and_worst.png)",
        "",
    ]


def _pose_lines(pose: Tensor, truth: Tensor) -> list[str]:
    """The mean errors of the angles of poses [F, 6], where any true one is known."""
    error = head_pose_errors(pose.numpy(), truth.numpy())
    if not math.isfinite(error["mean"]):
        return []
    return [
        f"Head pose against that of the true points, mean absolute error: yaw {error['yaw']:.2f}, "
        f"pitch {error['pitch']:.2f}, roll {error['roll']:.2f} degrees."
    ]


@torch.no_grad()
def _predict(model: SPIGA, validation: DataLoader) -> dict[str, Tensor]:
    """Images, truth, pose, and then positions from the first guess to the last step."""
    parts: dict[str, list[Tensor]] = defaultdict(list)
    for batch in validation:
        shape = (len(batch.image), len(model.layout))
        mask = batch.mask.view(*shape, 1)
        out = model(batch.image)
        heatmaps = model.backbone.forward_stacks(model.to_network_channels(batch.image))[-1].landmarks
        found = {
            "images": batch.image,
            "truth": torch.where(mask, batch.pos.view(*shape, 2), torch.nan),
            "pose": out.pose,
            "heatmaps": heatmaps,
            "initial": out.initial,
            **{f"step {number}": pos for number, pos in enumerate(out.steps, start=1)},
        }
        for name, value in found.items():
            parts[name].append(value)
    return {name: torch.cat(values) for name, values in parts.items()}


def _curves(folder: Path) -> Figure:
    """Losses over steps and validation errors over epochs, a row a stage."""
    stages = [stage for stage in STAGES if (folder / stage / "csv").is_dir()]
    figure = Figure(figsize=(11, 2.9 * len(stages)), dpi=90, layout="constrained")
    for row, stage in zip(figure.subplots(len(stages), 2, squeeze=False), stages, strict=True):
        loss, error = row
        curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for log in sorted((folder / stage / "csv").glob("version_*/metrics.csv")):
            with log.open(newline="") as file:
                for entry in csv.DictReader(file):
                    for name, value in entry.items():
                        if value and name not in ("epoch", "step"):
                            at = "epoch" if name.startswith("val/") else "step"
                            curves[name].append((float(entry[at]), float(value)))
        for name, points in curves.items():
            ax = loss if name.startswith("loss") else error
            ax.plot(*np.array(sorted(points)).T, label=name, linewidth=1.2, marker="." if len(points) == 1 else None)
        loss.set(title=f"{stage}: loss", xlabel="step", yscale="log" if curves else "linear")
        error.set(title=f"{stage}: validation, % (pose: degrees)", xlabel="epoch", yscale="log" if curves else "linear")
        for ax in row:
            if ax.lines:
                ax.legend(fontsize=7)
    return figure
