"""The report of a run: a page with curves and figures, and the evaluation report of its validation faces."""

import csv
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.data import DataLoader

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import FaceRecord, SyntheticFaces, as_pillow
from pyspiga_geo.evaluation import evaluate_faces, normaliser, normaliser_text
from pyspiga_geo.evaluation.tables import summary
from pyspiga_geo.geometry import invert_transform, transform_points
from pyspiga_geo.models import SPIGA
from pyspiga_geo.models.head_pose import fitted_poses
from pyspiga_geo.training.targets import true_poses
from pyspiga_geo.visualization import save_figure, write_evaluation_report

STAGES = ("landmarks", "pose", "cascade", "joint", "uncertainty")


def write_report(folder: Path, model: SPIGA, validation: DataLoader) -> Path:
    """Measure a trained model on the validation faces and write ``report.md`` with its pictures.

    It has curves and the error of each kind of position. The folder ``validation`` beside it has the page that
    ``pyspiga-geo evaluate --report`` writes: for the landmarks, compared with the other positions.

    Args:
        folder: of the run, with a folder of logs for each stage.
        model: in evaluation mode.
        validation: batches of crops without augmentation; if empty, the report has only curves.

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
    layout = model.layout
    truth, found = _records(model, validation)
    scale = normaliser(np.stack([face.landmarks for face in truth]), layout.ids, layout.norm)
    measured = np.flatnonzero(scale > 0)
    if not len(measured):
        return [f"No validation face has {normaliser_text(layout.norm)}, in which errors would be measured.", ""]
    truth = [truth[face] for face in measured]
    found = {name: [faces[face] for face in measured] for name, faces in found.items()}
    evaluations = {name: evaluate_faces(faces, truth, layout.norm, layout=layout) for name, faces in found.items()}
    final = list(found)[-1]
    first = {final: evaluations.pop(final)} | evaluations
    with _pictures_of(validation) as images:
        write_evaluation_report(folder / "validation", first, found[final], truth, images, layout)
    rows = [f"| {name} | {first[name].landmarks.nme:.3f} |" for name in found]
    return [
        *summary(first[final]).splitlines(),
        "",
        *("| positions | NME |", "|---|---|", *rows),
        "",
        "These are the figures of the last row. [Its page](validation/report.md) has the error of each landmark, the "
        "worst faces and the comparison with the other positions.",
        "",
    ]


@torch.no_grad()
def _records(model: SPIGA, validation: DataLoader) -> tuple[list[FaceRecord], dict[str, list[FaceRecord]]]:
    """The true faces and, by name, the found ones from heatmaps and first guess to the landmarks, in photo pixels.

    Head poses are those that the crop's camera sees; the true ones are the annotated, or else those of the landmarks.
    """
    truth: list[FaceRecord] = []
    found: dict[str, list[FaceRecord]] = defaultdict(list)
    size, ids = model.config.image_size, tuple(model.layout.ids)
    for batch in validation:
        pos = batch.pos.view(len(batch.image), len(model.layout), 2)
        mask = batch.mask.view(pos.shape[:2])
        known = torch.where(mask[..., None], pos, torch.nan)
        out = model(batch.image)
        heatmaps = model.backbone.forward_stacks(model.to_network_channels(batch.image))[-1].landmarks
        positions = {"heatmaps": heatmaps, "initial": out.initial}
        positions |= {f"step {number}": step for number, step in enumerate(out.steps, start=1)}
        if model.shape_prior is not None:
            positions["corrected by the shape prior"] = out.landmarks
        pose = fitted_poses(out.pose, out.landmarks, model.layout, model.config.focal_ratio)
        to_photo = invert_transform(batch.crop.double())

        def records(points: Tensor, poses: Tensor | None) -> list[FaceRecord]:
            landmarks = transform_points(size * points.to(to_photo), to_photo).numpy()  # noqa: B023
            heads = [None] * len(landmarks) if poses is None else [tuple(pose) for pose in poses.tolist()]
            return [
                FaceRecord(path, tuple(box), ids, face, np.ones(len(ids)), head)
                for path, box, face, head in zip(batch.imgpath, batch.bbox.tolist(), landmarks, heads, strict=True)  # noqa: B023
            ]

        truth += records(known, true_poses(batch, pos, mask, model.layout, model.config.focal_ratio))
        for name, points in positions.items():
            found[name] += records(points, pose)
    return truth, found


@contextmanager
def _pictures_of(validation: DataLoader) -> Iterator[Path | None]:
    """The folder of the faces' photos; synthetic faces are drawn into one for the time being."""
    faces: Any = validation.dataset
    if not isinstance(faces, SyntheticFaces):
        yield getattr(faces, "root", None)
        return
    with tempfile.TemporaryDirectory() as folder:
        for face in map(faces.get, range(len(faces))):
            as_pillow(face.image).save(Path(folder, face.imgpath), format="PNG")
        yield Path(folder)


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
                        # On a logarithmic axis there is no room for what may be zero.
                        if value and name not in ("epoch", "step", "val/auc", "val/fr"):
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
