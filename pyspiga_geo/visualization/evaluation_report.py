"""The page of an evaluation: figures, cumulative curve, error by landmark, contour and yaw, the worst faces."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import FaceRecord, find_image, landmarks_for, read_image
from pyspiga_geo.evaluation import Evaluation, head_poses, layout_of, match_records
from pyspiga_geo.evaluation.tables import (
    comparison_table,
    contour_table,
    parts_table,
    pose_table,
    summary,
    table,
)
from pyspiga_geo.geometry import square_crop, transform_points, warp_image
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.error_curves import contour_bars, cumulative_curve, error_against_yaw
from pyspiga_geo.visualization.error_map import error_map, mean_face
from pyspiga_geo.visualization.sheets import face_sheet, save_figure

_WORST = 12
_CROP = 256
_GROUND = 0.15  # grey of a face without its photo


def write_evaluation_report(
    folder: str | os.PathLike[str],
    evaluations: Mapping[str, Evaluation],
    predictions: Sequence[FaceRecord],
    annotations: Sequence[FaceRecord],
    images: str | os.PathLike[str] | None = None,
) -> Path:
    """Write ``report.md`` and its pictures.

    Args:
        folder: Where to; made when it is missing.
        evaluations: The methods by name, the one that the page is about first, the ones it is compared with
            after it.
        predictions: Of the first method.
        annotations: The true landmarks.
        images: Folder of the photos, on which the worst faces are drawn; without it they stand on grey.

    Returns:
        Path of the page.

    Raises:
        ValueError: A photo of a worst face cannot be read; nothing is written then.
    """
    folder = Path(folder)
    first = next(iter(evaluations.values()))
    ids, _, truth = match_records(predictions, annotations)
    per_face = {name: evaluation.landmarks.per_face for name, evaluation in evaluations.items()}
    of_landmark = {
        name: [evaluation.landmarks.per_landmark[i] for i in ids] for name, evaluation in evaluations.items()
    }
    label, yaw, layout = f"error, % of {first.landmarks.norm}", head_poses(annotations)[:, 0], layout_of(ids)
    worst = np.argsort(-first.landmarks.per_face, kind="stable")[:_WORST]

    pictures: dict[str, Figure] = {}
    if layout is not None:
        pictures["worst_faces"] = _sheet(worst, first, predictions, annotations, layout, images)
        contours = {name: evaluation.landmarks.per_contour for name, evaluation in evaluations.items()}
        pictures["error_per_contour"] = contour_bars(contours, label)
    pictures["cumulative_error"] = cumulative_curve(
        {_legend(name, evaluation): per_face[name] for name, evaluation in evaluations.items()},
        first.landmarks.threshold,
        label,
    )
    pictures["error_per_landmark"] = error_map(mean_face(truth), of_landmark, label)
    if np.isfinite(yaw).any():
        pictures["error_against_yaw"] = error_against_yaw(yaw, per_face, label)
    for name, figure in pictures.items():
        save_figure(folder / f"{name}.png", figure)

    rows = [[str(face), annotations[face].imgpath, f"{first.landmarks.per_face[face]:.2f}"] for face in worst]
    sections = {
        "": [*summary(first).splitlines(), parts_table(first)],
        "Methods side by side": [comparison_table(evaluations)] if len(evaluations) > 1 else [],
        "Cumulative error": [_link("cumulative_error", pictures)],
        "Error of each landmark, on the mean face": [_link("error_per_landmark", pictures)],
        "Error of each contour": [_link("error_per_contour", pictures), contour_table(evaluations)],
        "Error against yaw": [_link("error_against_yaw", pictures)],
        "Head pose": [pose_table(first)] if first.pose.faces else [],
        "The worst faces": [_link("worst_faces", pictures), table(["face", "image", "error, %"], rows)],
    }
    parts = ["# Evaluation report"]
    for title, body in sections.items():
        if any(body):
            parts += [f"## {title}"] * bool(title) + [part for part in body if part]
    page = folder / "report.md"
    with atomic_path(page) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def _sheet(
    faces: np.ndarray,
    evaluation: Evaluation,
    predictions: Sequence[FaceRecord],
    annotations: Sequence[FaceRecord],
    layout: Layout,
    images: str | os.PathLike[str] | None,
) -> Figure:
    """The faces of these numbers, true and predicted landmarks over the photos."""
    crops, shapes = [], []
    for face in faces:
        record = annotations[face]
        matrix = square_crop(torch.tensor(record.bbox, dtype=torch.float64), _CROP)
        points = [landmarks_for(each, layout.ids) for each in (record, predictions[face])]
        shapes.append(transform_points(torch.from_numpy(np.stack(points)), matrix) / _CROP)
        if images is None:
            crops.append(torch.full((3, _CROP, _CROP), _GROUND))
        else:
            crops.append(warp_image(read_image(find_image(images, record.imgpath)), matrix, _CROP))
    truth, predicted = torch.stack(shapes).unbind(dim=1)
    captions = [f"face {face}: {evaluation.landmarks.per_face[face]:.2f} %" for face in faces]
    return face_sheet(torch.stack(crops), truth, predicted, layout, captions)


def _legend(name: str, evaluation: Evaluation) -> str:
    metrics = evaluation.landmarks
    return f"{name}: NME {metrics.nme:.2f}, AUC_{metrics.threshold:g} {metrics.auc:.1f}, FR {metrics.fr:.2f}"


def _link(name: str, pictures: Mapping[str, Figure]) -> str:
    return f"![{name.replace('_', ' ')}]({name}.png)" if name in pictures else ""
