import json
import math
from pathlib import Path

import numpy as np
import pytest

from pyspiga_geo.evaluation import NORMALISERS, landmark_metrics, normaliser, normaliser_text, own_normaliser
from pyspiga_geo.layouts import IBUG68, WFLW98, Layout, register_layout, registry

NAN = math.nan


def test_each_normaliser_by_hand() -> None:
    points = [[[10, 20], [70, 100], [20, 0]]]  # box 60 x 100
    length = {
        kind: normaliser(points, (7, 12, 1), kind, bbox=[[0, 0, 9, 40]]).item()
        for kind in NORMALISERS
        if kind != "pupils"
    }
    assert length == pytest.approx(
        {
            "inter_ocular": 100,  # (60, 80)
            "lnd_bbox": math.sqrt(6000),
            "bbox": math.sqrt(360),
            "height": 40,
            "diagonal": 41,
        }
    )


@pytest.mark.parametrize(
    ("right", "left", "others"),
    [
        ((7, 138, 139, 8, 141, 142), (11, 144, 145, 12, 147, 148), (161, 163, 165, 167)),
        # the pupils' own points, 196 and 197, do not count
        ((7, 161, 9, 163, 8, 165, 10, 167), (11, 169, 13, 171, 12, 173, 14, 175), (138, 139, 141, 196, 197)),
    ],
)
def test_pupils_are_the_means_of_the_eyelids(
    right: tuple[int, ...], left: tuple[int, ...], others: tuple[int, ...]
) -> None:
    right_eye, left_eye = np.array([10, 10]), np.array([40, 50])
    rng = np.random.default_rng(0)
    around = rng.normal(size=(len(right), 2))
    around -= around.mean(axis=0)
    points = np.concatenate([around + right_eye, around * 2 + left_eye, np.full((len(others), 2), 999)])
    order = rng.permutation(len(points))
    ids = np.array([*right, *left, *others])[order].tolist()
    assert normaliser(points[None, order], ids, "pupils").tolist() == pytest.approx([50])


def test_pupils_are_found_in_the_layouts_as_they_are(shared: Path) -> None:
    for name, rows in (("300wprivate", (36, 42, 48)), ("wflw", (60, 68, 76))):
        ids = json.loads((shared / "layouts" / f"{name}_db_info.json").read_text())["ldm_ids"]
        points = np.zeros((1, len(ids), 2))
        points[:, rows[1] : rows[2]] = [3, 4]
        assert normaliser(points, ids, "pupils").tolist() == [5]
        if name == "300wprivate":
            assert (ids.index(7), ids.index(12)) == (36, 45)  # the outer eye corners of 300-W


def test_the_old_name_of_inter_ocular() -> None:
    eyes = [[[0, 0], [30, 40]]]
    assert normaliser(eyes, (7, 12), "corners").tolist() == normaliser(eyes, (7, 12), "inter_ocular").tolist() == [50]
    assert landmark_metrics([[1.0, 3.0]], (7, 12), "corners").norm == "inter_ocular"
    assert normaliser_text("corners") == normaliser_text("inter_ocular")


def test_a_normaliser_without_its_points() -> None:
    points = [[[NAN, NAN], [10, 0], [20, 5]], [[0, 0], [3, 4], [5, 5]]]
    assert normaliser(points, (7, 12, 1), "inter_ocular") == pytest.approx([NAN, 5], nan_ok=True)
    assert normaliser(points, (7, 12, 1), "lnd_bbox") == pytest.approx([math.sqrt(50), 5])
    for kind, reason in (
        ("inter_ocular", "landmark 7, which is not among the ids"),
        ("pupils", "eyelid points"),
        ("height", "needs the annotated boxes"),
        ("eyes", "unknown normaliser 'eyes'; known are inter_ocular"),
    ):
        with pytest.raises(ValueError, match=reason):
            normaliser(points, (2, 12, 1), kind)


def test_two_landmarks_are_a_normaliser() -> None:
    points = [[[0, 0], [9, 9], [3, 4]], [[NAN, NAN], [9, 9], [3, 4]]]
    assert normaliser(points, (201, 202, 203), (203, 201)) == pytest.approx([5, NAN], nan_ok=True)
    with pytest.raises(ValueError, match="landmark 204, which is not among the ids"):
        normaliser(points, (201, 202, 203), (203, 204))


def test_what_a_layout_divides_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_LAYOUTS", {"ibug68": IBUG68, "wflw98": WFLW98})
    own = register_layout(Layout("own_of_a_test", (201, 202, 203), normaliser=(201, 203)))
    for ids, norm in (
        (IBUG68.ids, "inter_ocular"),
        (WFLW98.ids, "inter_ocular"),
        ((7, 12, 999), "inter_ocular"),  # of no known layout
        ((7, 999), "lnd_bbox"),
        (IBUG68.ids[:17], "lnd_bbox"),  # of ibug68, whose corners these lack
        (own.ids, (201, 203)),
        ((201, 202), "lnd_bbox"),
    ):
        assert own_normaliser(ids) == norm
    assert own_normaliser((201, 202), own) == (201, 203)


def test_every_normaliser_has_a_text() -> None:
    texts = [normaliser_text(norm) for norm in (*NORMALISERS, (5, 9))]
    assert texts[-1] == "the distance of landmarks 5 and 9"
    assert len(set(texts)) == len(texts)
