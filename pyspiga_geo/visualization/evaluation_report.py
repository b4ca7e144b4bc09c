"""The report of an evaluation: metrics, cumulative curve, error by landmark, contour and yaw, the worst faces."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import FaceRecord, find_image, landmarks_for, read_image
from pyspiga_geo.evaluation import Evaluation, layout_of, match_records, normaliser_text, true_yaws
from pyspiga_geo.evaluation.tables import comparison_table, contour_table, parts_table, pose_table, summary, table
from pyspiga_geo.geometry import square_crop, transform_points, warp_image
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.error_curves import contour_bars, cumulative_curve, error_against_yaw
from pyspiga_geo.visualization.error_map import error_map, mean_face
from pyspiga_geo.visualization.sheets import face_sheet, save_figure

_WORST = 12
_CROP = 256
_GROUND = 0.15  # grey of a face without its photo

REPORT_TITLE = "# Evaluation report"
"""First line of the page."""


def write_evaluation_report(
    folder: str | os.PathLike[str],
    evaluations: Mapping[str, Evaluation],
    predictions: Sequence[FaceRecord],
    annotations: Sequence[FaceRecord],
    images: str | os.PathLike[str] | None = None,
    layout: str | Layout | None = None,
) -> Path:
    """Write ``report.md`` and its pictures.

    Args:
        folder: of the report; made if it is missing.
        evaluations: the methods by name, first the one that the report is about, then the ones it is compared
            with.
        predictions: of the first method.
        annotations: the true landmarks.
        images: folder of the photos, on which the worst faces are drawn; without it they are drawn on grey.
        layout: the landmark set, if the ids do not determine it (:func:`layout_of`).

    Returns:
        Path of the page.

    Raises:
        ValueError: if a photo of a worst face cannot be read; nothing is written then.

    Example:
        >>> import tempfile
        >>> from pyspiga_geo.evaluation import evaluate_faces
        >>> truth = FaceRecord(
        ...     "a.png", (0, 0, 9, 9), (7, 12, 9999), np.array([[0.0, 0], [100, 0], [50, 80]]), np.ones(3)
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = write_evaluation_report(folder, {"ours": evaluate_faces([truth], [truth])}, [truth], [truth])
        ...     page.read_text().splitlines()[0]
        '# Evaluation report'
    """
    folder = Path(folder)
    first = next(iter(evaluations.values()))
    label = f"error, % of {normaliser_text(first.landmarks.norm)}"
    worst = np.argsort(-first.landmarks.per_face, kind="stable")[:_WORST]
    rows = [[str(face), annotations[face].imgpath, f"{first.landmarks.per_face[face]:.2f}"] for face in worst]
    ids, _, truth = match_records(predictions, annotations, layout)
    (yaw, _), known = true_yaws(annotations, layout), layout_of(ids, layout)
    metrics = {name: evaluation.landmarks for name, evaluation in evaluations.items()}
    curves = {
        f"{name}: NME {each.nme:.2f}, AUC_{each.threshold:g} {each.auc:.1f}, FR {each.fr:.2f}": each.per_face
        for name, each in metrics.items()
    }
    of_landmark = {name: [each.per_landmark[i] for i in ids] for name, each in metrics.items()}
    per_face = {name: each.per_face for name, each in metrics.items()}
    contours = {name: each.per_contour for name, each in metrics.items() if each.per_contour}
    # What the annotations allow for: contours and the worst faces need a known layout, yaw a true head pose.
    sections: list[tuple[str, Figure | None, str]] = [
        ("Methods side by side", None, comparison_table(evaluations) if len(evaluations) > 1 else ""),
        ("Cumulative error", cumulative_curve(curves, first.landmarks.threshold, label), ""),
        ("Error per landmark", error_map(mean_face(truth), of_landmark, label), ""),
        (
            "Error per contour",
            contour_bars(contours, label) if contours else None,
            contour_table(evaluations) if contours else "",
        ),
        ("Error against yaw", error_against_yaw(yaw, per_face, label) if np.isfinite(yaw).any() else None, ""),
        ("Head pose", None, pose_table(first) if first.pose.faces else ""),
        (
            "Worst faces",
            _sheet(worst, first, predictions, annotations, known, images) if known else None,
            table(["face", "image", "error, %"], rows),
        ),
    ]
    parts = [REPORT_TITLE, *summary(first).splitlines(), parts_table(first)]
    for title, figure, text in sections:
        name = title.lower().replace(" ", "_")
        if figure is not None:
            save_figure(folder / f"{name}.png", figure)
        if figure is not None or text:
            picture = f"![{title}]({name}.png)" if figure is not None else ""
            parts += [part for part in (f"## {title}", picture, text) if part]
    page = folder / "report.md"
    with atomic_path(page) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8", errors="backslashreplace")
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
