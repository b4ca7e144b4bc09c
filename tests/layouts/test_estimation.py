"""The shapes behind annotated points: exact where the points are views of one rigid shape, near where almost."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyspiga_geo.geometry import camera_matrix, euler_to_rotation, project
from pyspiga_geo.layouts import EYE_CORNER_IDS, IBUG68, Layout

RIGHT, LEFT = (IBUG68.ids.index(number) for number in EYE_CORNER_IDS)
SHAPE = IBUG68.shape3d


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def views(count: int, missing: float = 0, shape: np.ndarray = SHAPE, angles: Any = (50, 25, 20)) -> np.ndarray:
    """Scaled orthographic views [F, L, 2] of a rigid shape, in pixels of pictures; a part of the points is missing."""
    draw = rng()
    rotation = euler_to_rotation(torch.tensor(draw.uniform(-1, 1, (count, 3)) * angles)).numpy()
    points = (shape @ rotation.transpose(0, 2, 1))[..., :2]
    points = points * draw.uniform(50, 300, (count, 1, 1)) + draw.uniform(0, 500, (count, 1, 2))
    points[draw.random(points.shape[:2]) < missing] = np.nan
    return points


def photographed(count: int, distance: float) -> np.ndarray:
    """The same under perspective."""
    poses = np.concatenate([rng().uniform(-1, 1, (count, 3)) * [50, 25, 20], np.zeros((count, 3))], axis=1)
    poses[:, 5] = distance
    return project(torch.tensor(SHAPE), torch.tensor(poses), camera_matrix(256, dtype=torch.float64)).numpy()


def apart(found: np.ndarray, true: np.ndarray = SHAPE) -> np.ndarray:
    """Distances [L] after the best similarity, no reflection, in percent of the distance of the eye corners."""
    a, b = found - found.mean(axis=0), true - true.mean(axis=0)
    left, values, right = np.linalg.svd(a.T @ b)
    signs = np.array([1, 1, np.linalg.det(left @ right)])
    scale = (values * signs).sum() / (a**2).sum()
    gap = np.linalg.norm(scale * a @ (left * signs) @ right - b, axis=1)
    return 100 * gap / np.linalg.norm(true[RIGHT] - true[LEFT])


def estimated(points: np.ndarray, **more: Any) -> np.ndarray:
    layout = Layout.from_annotations("test", points, **more)
    assert layout.shape3d is not None
    return layout.shape3d


@pytest.mark.parametrize(("count", "missing"), [(3, 0), (40, 0), (40, 0.3), (60, 0.6)])
def test_views_of_a_rigid_shape_give_it_back(count: int, missing: float) -> None:
    assert apart(estimated(views(count, missing))).max() < 1e-9


def test_points_that_turn_away_may_be_missing() -> None:
    """Of a head in profile the far half is annotated by nobody."""
    points = views(60, angles=(80, 20, 20))
    yaw = (rng().uniform(-1, 1, (60, 3)) * (80, 20, 20))[:, 0]
    points[np.sin(np.radians(yaw))[:, None] * SHAPE[:, 1] > 0.2] = np.nan
    assert 0.1 < np.isnan(points).mean() < 0.4
    assert apart(estimated(points)).max() < 1e-9


def test_perspective_costs_some_percent() -> None:
    near, far = (apart(estimated(photographed(40, distance))).mean() for distance in (4, 12))
    assert far < 1.5 < near < 5


def test_noise_is_averaged_out() -> None:
    points = views(100)
    size = np.linalg.norm(points[:, RIGHT] - points[:, LEFT], axis=1).mean()
    assert apart(estimated(points + 0.02 * size * rng().normal(size=points.shape))).mean() < 2


def test_axes_origin_and_size() -> None:
    for flip in (None, IBUG68.flip):
        shape = estimated(views(60), flip=flip)
        np.testing.assert_allclose(shape.mean(axis=0), 0, atol=1e-12)
        assert np.ptp(shape[:, 1:], axis=0).max() == pytest.approx(1.4)
        scale = np.linalg.norm(SHAPE - SHAPE.mean(axis=0)) / np.linalg.norm(shape)
        turned = np.abs(scale * shape - (SHAPE - SHAPE.mean(axis=0))).max()
        assert turned < 0.2  # the mean of 60 heads does not look straight ahead to the degree
    pairs = shape - shape[list(IBUG68.flip)]
    assert np.abs(np.linalg.svd(pairs)[2][0]) == pytest.approx([0, 1, 0])


def test_mirror_order_sets_faces_straight_that_all_look_aside() -> None:
    draw = rng()
    angles = torch.tensor(draw.uniform(-1, 1, (40, 3)) * [20, 15, 5] + [30, 0, 0])
    points = (SHAPE @ euler_to_rotation(angles).numpy().transpose(0, 2, 1))[..., :2]
    shape = estimated(points, flip=IBUG68.flip)
    assert abs(shape[RIGHT, 0] - shape[LEFT, 0]) < 0.05 < abs(np.subtract(*estimated(points)[[RIGHT, LEFT], 0]))


def test_front_is_where_the_middle_is_or_where_it_is_said_to_be() -> None:
    bowl = SHAPE * [-1, 1, 1]
    assert apart(estimated(views(20, shape=bowl)), bowl).max() > 10  # as a head, its middle in front
    nose = 201 + IBUG68.contours["nose_bridge"][-1]
    ear = 201
    assert apart(estimated(views(20, shape=bowl), front=ear), bowl).max() < 1e-9
    assert apart(estimated(views(20), front=nose)).max() < 1e-9
    with pytest.raises(ValueError, match="front must be one of the layout's ids, not 5"):
        Layout.from_annotations("test", views(20), front=5)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (views(20, shape=SHAPE * [0, 1, 1]), "in one plane"),
        (views(20, shape=SHAPE * [0, 1, 1]) + rng().normal(size=(20, 68, 2)), "in one plane"),
        (views(20, angles=(0, 0, 30)), "seen from nearly the same side"),
        (views(2), "three faces"),
        (views(20)[:, :3], "four landmarks"),
    ],
)
def test_points_without_depth_give_a_layout_without_a_rigid_shape(points: np.ndarray, reason: str) -> None:
    with pytest.warns(UserWarning, match=f"'flat' gets no rigid 3-D shape: .*{reason}"):
        layout = Layout.from_annotations("flat", points)
    assert layout.shape3d is None
    assert layout.mean_shape is not None
    assert layout.mean_shape.shape == (points.shape[1], 2)


def test_mean_shape_is_that_of_similar_faces() -> None:
    draw = rng()
    shape = draw.normal(size=(5, 2))
    angle = draw.uniform(-0.5, 0.5, (12, 1, 1))
    turn = np.block([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = 40 * shape @ turn + draw.uniform(0, 99, (12, 1, 2))
    points[draw.random((12, 5)) < 0.3] = np.nan
    with pytest.warns(UserWarning, match="no rigid 3-D shape"):
        mean = Layout.from_annotations("flat", points).mean_shape
    low, high = mean.min(axis=0), mean.max(axis=0)
    np.testing.assert_allclose(low + high, 0, atol=1e-12)
    assert (high - low).max() == pytest.approx(1)
    a, b = (p[:, 0] + 1j * p[:, 1] for p in (mean - mean.mean(axis=0), shape - shape.mean(axis=0)))
    similarity = (a.conj() @ b) / (a.conj() @ a)
    np.testing.assert_allclose(similarity * a, b, atol=1e-9)
    assert abs(np.angle(similarity)) < 0.5


def test_faces_that_share_no_landmarks_are_brought_together_by_others() -> None:
    points = views(3, shape=SHAPE[:6] * [0, 1, 1], angles=(0, 0, 20))
    points[0, :3], points[1, 3:] = np.nan, np.nan
    with pytest.warns(UserWarning, match="no rigid 3-D shape"):
        Layout.from_annotations("bridged", points)
    with pytest.raises(ValueError, match=r"no face shows landmark 20[14], 20[25], 20[36] together with two"):
        Layout.from_annotations("apart", points[:2])


WRONG = list(IBUG68.flip)
WRONG[31], WRONG[34], WRONG[32], WRONG[35] = 34, 31, 35, 32


@pytest.mark.parametrize("points", [views(40), views(40, angles=(0, 0, 20))], ids=["by 3-D", "by 2-D"])
@pytest.mark.filterwarnings("ignore:layout 'test' gets no rigid")
def test_mirror_orders_are_checked(points: np.ndarray) -> None:
    assert Layout.from_annotations("test", points, ids=IBUG68.ids, flip=IBUG68.flip).flip == IBUG68.flip
    with pytest.raises(
        ValueError, match=r"flip .* mirrored, landmark \d+ comes nearest to \d+, not to its partner 13[1-5]"
    ):
        Layout.from_annotations("test", points, ids=range(100, 168), flip=WRONG)
    with pytest.raises(ValueError, match=r"and \d+ more"):
        Layout.from_annotations("test", points, flip=range(68))


@dataclass
class Record:
    ids: tuple[int, ...]
    landmarks: np.ndarray


def test_records_are_read_by_their_ids() -> None:
    points = views(10)
    draw = rng()
    records = []
    for face in points:
        rows = draw.permutation(68)[:60]
        records.append(Record(tuple(IBUG68.ids[row] for row in rows), face[rows]))
    layout = Layout.from_annotations("test", records, ids=IBUG68.ids, contours=IBUG68.contours)
    assert (layout.ids, layout.contours, layout.norm) == (IBUG68.ids, IBUG68.contours, "inter_ocular")
    assert apart(layout.shape3d).max() < 1e-9
    found = Layout.from_annotations("test", records)
    assert found.ids == tuple(dict.fromkeys(i for record in records for i in record.ids))
    assert Layout.from_annotations("test", points).ids == tuple(range(201, 269))


@pytest.mark.parametrize(
    ("points", "more", "message"),
    [
        (np.zeros((3, 2)), {}, r"points must be \[F, L, 2\]"),
        (np.zeros((0, 5, 2)), {}, r"points must be \[F, L, 2\]"),
        (np.zeros((3, 1, 2)), {}, r"points must be \[F, L, 2\]"),
        (np.full((3, 5, 2), np.inf), {}, "points must be finite"),
        (np.full((3, 5, 2), np.nan), {}, "no face has landmark 201, 202"),
        (np.zeros((3, 5, 2)), {}, "no face has landmark 201, 202"),
        (views(5), {"ids": [1, 2]}, "ids must be 68"),
        (views(5), {"flip": [0]}, "flip must be a permutation"),
        (views(5), {"contours": {"far": (0, 68)}}, "contour 'far'"),
        (views(5), {"normaliser": (1, 2)}, "normaliser"),
        ([Record((1, 2), np.zeros((2, 2)))], {"ids": (1, 2, 3)}, "no face has landmark 1, 2, 3"),
    ],
)
def test_annotations_that_cannot_be_used(points: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layout.from_annotations("test", points, **more)


def test_half_a_point_is_none() -> None:
    points = views(30)
    points[3, 5, 0] = np.nan
    assert apart(estimated(points)).max() < 1e-9


def test_estimation_does_not_warn_of_its_arithmetic() -> None:
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        estimated(views(30, 0.4), flip=IBUG68.flip)


def test_faces_of_300w_give_nearly_the_mean_face_of_the_authors(shared: Path) -> None:
    """From 2-D annotations of 300 people, against a 3-D face that is of others."""
    records = json.loads((shared / "faces" / "300w" / "train.json").read_text())[:300]
    points = np.array([[p or (np.nan, np.nan) for p in record["landmarks"]] for record in records])
    shape = estimated(points, ids=IBUG68.ids, flip=IBUG68.flip)
    assert apart(shape).mean() < 8
    assert shape[:, 0].argmax() in (30, 33)  # the nose is in front
