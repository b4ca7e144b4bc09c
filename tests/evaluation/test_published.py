"""The figures that the SPIGA authors publish for 300-W private, to the tenth digit."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyspiga_geo.data.records import FaceRecord, read_records
from pyspiga_geo.evaluation import Evaluation, evaluate_faces, read_subsets

FIGURES = ("nme", "nme_p90", "nme_p95", "nme_p99", "auc", "fr")


def published(text: str) -> dict[str, Any]:
    """The authors' report, lines of `name: value` and nested blocks `name { ... }`."""
    blocks: list[dict[str, Any]] = [{}]
    for line in text.splitlines():
        if opened := re.fullmatch(r"\s*(\S+) {", line):
            inner: dict[str, Any] = {}
            blocks[-1][opened[1]] = inner
            blocks.append(inner)
        elif line.strip() == "}":
            blocks.pop()
        else:
            name, value = line.split(": ")
            blocks[-1][name.strip()] = value if value.isidentifier() else json.loads(value)
    return blocks[0]["Metrics"]


@pytest.fixture(scope="module")
def records(shared: Path) -> dict[str, list[FaceRecord]]:
    folder = shared / "evaluation" / "300wprivate"
    return {name: read_records(folder / f"{name}.json") for name in ("predictions", "annotations")}


@pytest.fixture(scope="module")
def subsets(shared: Path) -> dict[str, tuple[int, ...]]:
    return read_subsets(shared / "layouts" / "300wprivate_db_info.json", faces=600)


@pytest.fixture(scope="module")
def evaluation(records: dict[str, list[FaceRecord]], subsets: dict[str, tuple[int, ...]]) -> Evaluation:
    return evaluate_faces(**records, norm="lnd_bbox", threshold=7, subsets=subsets)


@pytest.fixture(scope="module")
def report(shared: Path) -> dict[str, Any]:
    return published((shared / "evaluation" / "300wprivate" / "published_metrics.txt").read_text())


def test_the_whole_and_its_subsets(evaluation: Evaluation, report: dict[str, Any]) -> None:
    expected = report["landmarks"]
    assert evaluation.subsets.keys() == expected["subset"].keys()
    for part, figures in (
        (evaluation, expected),
        *((part, expected["subset"][name]) for name, part in evaluation.subsets.items()),
    ):
        for name in FIGURES:
            assert getattr(part.landmarks, name) == pytest.approx(figures[name], rel=1e-10), name


def test_every_landmark(evaluation: Evaluation, report: dict[str, Any]) -> None:
    for ours, theirs in (
        ("per_landmark", "nme_per_ldm"),
        ("per_landmark_p90", "npe90_per_ldm"),
        ("per_landmark_p95", "npe95_per_ldm"),
        ("per_landmark_p99", "npe99_per_ldm"),
    ):
        found = {str(landmark): error for landmark, error in getattr(evaluation.landmarks, ours).items()}
        assert found == pytest.approx(report["landmarks"][theirs], rel=1e-10), ours


def test_head_pose(evaluation: Evaluation, report: dict[str, Any]) -> None:
    pose, expected = evaluation.pose, report["headpose"]
    yaw, pitch, roll, mean = pose.mae.values()
    assert [yaw, pitch, roll] == pytest.approx(expected["mae_ypr"], rel=1e-10)
    assert mean == pytest.approx(expected["mae_mean"], rel=1e-10)
    for angle, shares in pose.accuracy.items():
        assert {f"{limit:g}": share / 100 for limit, share in shares.items()} == pytest.approx(
            expected[f"sr_{angle}"], rel=1e-10
        )
    for found, name in ((pose.class_accuracy, "acc_label"), (pose.adjacent_accuracy, "acc_adj_label")):
        assert [share / 100 for share in found.values()] == pytest.approx(expected[name], rel=1e-10)


def test_the_order_of_the_faces_does_not_matter(
    records: dict[str, list[FaceRecord]], subsets: dict[str, tuple[int, ...]], evaluation: Evaluation
) -> None:
    """Every figure is the same to the last digit, confidence intervals too."""
    order = np.random.default_rng(0).permutation(600).tolist()
    place = np.argsort(order)
    other = evaluate_faces(
        **{kind: [faces[i] for i in order] for kind, faces in records.items()},
        norm="lnd_bbox",
        threshold=7,
        subsets={name: place[list(faces)].tolist() for name, faces in subsets.items()},
    ).to_dict()
    one = evaluation.to_dict()
    errors = one.pop("per_face")
    assert [errors[i] for i in order] == other.pop("per_face")
    assert one == other
