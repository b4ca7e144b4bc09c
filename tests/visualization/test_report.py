"""The page of an evaluation and its pictures."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyspiga_geo.data import FaceRecord
from pyspiga_geo.evaluation import evaluate_faces
from pyspiga_geo.layouts import IBUG68, Layout
from pyspiga_geo.visualization import (
    contour_bars,
    cumulative_curve,
    error_against_yaw,
    error_map,
    mean_face,
    write_evaluation_report,
)


def faces(noise: float, count: int = 5) -> list[FaceRecord]:
    rng = np.random.default_rng(0)
    x, y = -IBUG68.shape3d[:, 1], IBUG68.shape3d[:, 2]
    shape = 80 + 60 * np.stack([x, y], axis=1)
    return [
        FaceRecord(
            f"{number}.png",
            (20, 20, 120, 120),
            tuple(IBUG68.ids),
            shape + noise * (number + 1) * rng.normal(size=shape.shape),
            np.ones(68),
            (10.0 * number, 0, 0, 0, 0, 3),
        )
        for number in range(count)
    ]


def pictures_of(page: Path) -> set[str]:
    """Names of the pictures that a page shows; all must be there, and no others."""
    linked = set(re.findall(r"\]\((\w+)\.png\)", page.read_text(encoding="utf-8")))
    assert linked == {path.stem for path in page.parent.glob("*.png")}
    return linked


def test_the_page_of_two_methods_on_photos(tmp_path: Path) -> None:
    predictions, annotations = faces(1), faces(0)
    for record in annotations:
        Image.new("RGB", (160, 160), (10, 120, 200)).save(tmp_path / record.imgpath)
    methods = {
        "ours": evaluate_faces(predictions, annotations, subsets={"some": [0, 1]}),
        "theirs": evaluate_faces(faces(0.5), annotations, subsets={"some": [0, 1]}),
    }
    page = write_evaluation_report(tmp_path / "out", methods, predictions, annotations, tmp_path)
    assert pictures_of(page) == {
        "cumulative_error",
        "error_per_landmark",
        "error_per_contour",
        "error_against_yaw",
        "worst_faces",
    }
    text = page.read_text(encoding="utf-8")
    assert f"NME {methods['ours'].landmarks.nme:.4f}" in text
    assert "theirs - ours" in text
    assert "| some " in text
    worst = text[text.index("## Worst faces") :]
    order = np.argsort(-methods["ours"].landmarks.per_face)
    assert [int(number) for number in re.findall(r"\| (\d) ", worst)] == order.tolist()
    sheet = np.asarray(Image.open(tmp_path / "out" / "worst_faces.png").convert("RGB")).reshape(-1, 3)
    assert (sheet == [10, 120, 200]).all(axis=1).mean() > 0.25  # the photos' blue


def test_landmarks_without_layout_pose_and_photos(tmp_path: Path) -> None:
    truth = [
        FaceRecord(f"{n}", (0, 0, 9, 9), (7, 12, 100_000), np.array([[0, 0], [9, 0], [5, n]]), np.ones(3))
        for n in range(3)
    ]
    found = [replace(face, landmarks=face.landmarks + 1) for face in truth]
    page = write_evaluation_report(tmp_path, {"points": evaluate_faces(found, truth)}, found, truth)
    assert pictures_of(page) == {"cumulative_error", "error_per_landmark"}
    assert "Methods side by side" not in page.read_text(encoding="utf-8")


def test_landmarks_without_contours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.figure.Figure.draw", lambda *_: None)  # painted above
    layout = Layout("points", IBUG68.ids, normaliser=(8, 11))
    found, truth = faces(1, 2), faces(0, 2)
    measured = evaluate_faces(found, truth, layout=layout)
    page = write_evaluation_report(tmp_path, {"ours": measured}, found, truth, layout=layout)
    assert pictures_of(page) == {"cumulative_error", "error_per_landmark", "error_against_yaw", "worst_faces"}
    assert "in percent of the distance of landmarks 8 and 11" in page.read_text(encoding="utf-8")


def test_a_missing_photo_stops_before_anything_is_written(tmp_path: Path) -> None:
    predictions, annotations = faces(1), faces(0)
    methods = {"ours": evaluate_faces(predictions, annotations)}
    with pytest.raises(ValueError, match=r"4\.png"):
        write_evaluation_report(tmp_path / "out", methods, predictions, annotations, tmp_path)
    assert not (tmp_path / "out").exists()


def test_the_mean_face_is_free_of_place_and_size() -> None:
    shape = np.array([[0, 0], [4, 0], [4, 1], [2, 1]])
    shapes = [shape, 7 * shape + 100, 0.1 * shape]
    mean = mean_face(shapes)
    np.testing.assert_allclose(mean, (shape - [2, 0.5]) / 4, atol=1e-12)
    shapes[1] = np.where([[False], [False], [False], [True]], np.nan, shapes[1])
    np.testing.assert_allclose(mean_face(shapes), mean, atol=1e-12)
    shapes = [np.where([[True], [False], [False], [False]], np.nan, each) for each in shapes]
    assert np.isnan(mean_face(shapes)[0]).all()


def test_the_map_shows_the_errors_on_one_scale() -> None:
    positions = np.array([[0, 0], [1, 0], [np.nan, np.nan]])
    figure = error_map(positions, {"a": [1.0, 2.0, 3.0], "b": [4.0, np.nan, 3.0]}, "error")
    left, right = (ax for ax in figure.axes if ax.get_title())
    assert [text.get_text() for text in left.texts] == ["1.0", "2.0"]
    assert [text.get_text() for text in right.texts] == ["4.0"]
    assert left.collections[0].get_clim() == right.collections[0].get_clim() == (1, 4)
    assert left.yaxis_inverted()


def test_the_cumulative_curve_is_the_share_of_faces() -> None:
    figure = cumulative_curve({"a": [3.0, 1.0, 9.0, 2.0]}, threshold=8, label="error")
    x, y = figure.axes[0].lines[0].get_data()
    share = [y[x <= error][-1] for error in (0.5, 1, 2.5, 8)]
    assert share == [0, 25, 50, 75]
    assert figure.axes[0].get_xlim() == (0, 8)


def test_bars_and_means_show_the_figures() -> None:
    bars = contour_bars({"a": {"jaw": 1.0, "nose": 2.0}, "b": {"jaw": 3.0, "nose": 4.0}}, "error")
    assert [patch.get_width() for patch in bars.axes[0].patches] == [1, 2, 3, 4]
    yaw = [-1, 0, 2, 14, 16, 15, 60, np.nan]
    figure = error_against_yaw(yaw, {"a": [1.0, 2, 3, 4, 5, 9, 100, 1000]}, "error")
    x, y = figure.axes[0].lines[0].get_data()
    assert (list(x), list(y)) == ([0, 15], [2, 6])  # a single face at 60 degrees is no mean
