"""Everything that README and documentation say about a model that ships: its size, its work, its errors on test faces.

    python benchmarks/model_figures.py --annotations 300w/test.json       # every shipped model
    python benchmarks/fill_pages.py                                       # then: put the figures into the pages

Writes `docs/numbers/NAME.json` for each model. Errors are in percent of what the layout divides by (68 landmarks: the
distance of the outer eye corners), in the annotated boxes. Positions, pose and percentiles are those of `FaceAligner`
with its default number of views; the errors of each step and of the coordinates of the heatmaps are of one view. Hidden
landmarks, ellipses and visibility are measured as by `uncertainty.py`, boxes that are a little off, turned and mirrored
photos as by `robustness.py`. The file holds the SHA-256 of the weights: a test fails when the weights are others, and
another when a page says something else than this file.
"""

import argparse
import hashlib
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import robustness
import torch
import uncertainty
import views
from faces import crops, look, norm_of, true_positions
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from pyspiga_geo import SPIGA, FaceAligner
from pyspiga_geo.data import AnnotatedFaces, FaceRecord, find_image, read_records
from pyspiga_geo.data.records import landmarks_for
from pyspiga_geo.evaluation import (
    bootstrap_interval,
    compare_errors,
    ellipse_coverage,
    evaluate_faces,
    face_errors,
    landmark_errors,
    nme,
)
from pyspiga_geo.geometry import camera_matrix, pose_from_points, square_crop, transform_points
from pyspiga_geo.inference import predict_records
from pyspiga_geo.inference.views import default_views
from pyspiga_geo.models.checkpoint import PRETRAINED

TRAINED_ON = {"base": "2,009 faces", "compact": "2,009 faces"}
"""What the model card says, for the table that compares networks: another model needs an entry here."""
NUMBERS = Path(__file__).resolve().parents[1] / "docs" / "numbers"
YAWS = ((0, 10), (10, 20), (20, 180))
SIZES = ((0, 100), (100, 150), (150, 10_000))
"""Ranges of the true yaw in degrees, and of the longer side of the box in pixels; the lower end belongs to a range."""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def size_and_work(name: str, rounds: int = 20) -> dict[str, Any]:
    """Parameters, bytes, floating-point operations and milliseconds per face, all without a test face."""
    model = SPIGA.from_pretrained(name).requires_grad_(False)  # the counter takes no output that could be trained
    config, layout = model.config, model.layout
    images = torch.rand(1, 3, config.image_size, config.image_size)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(images)
    path = PRETRAINED[name]
    described = {
        key: getattr(config, key)
        for key in ("image_size", "crop_scale", "backbone", "channels", "num_stacks", "num_steps", "num_layers")
    }
    described |= {key: getattr(config, key) for key in ("heads", "heatmap_windows", "uncertainty", "window")}
    described["backbone_options"] = dict(config.backbone_options)
    return {
        "model": name,
        "trained_on": TRAINED_ON[name],
        "file": path.name,
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flop": counter.get_total_flops(),
        "default_views": default_views(name),
        "layout": layout.name,
        "landmarks": len(layout),
        "config": described,
        "milliseconds": milliseconds(model.optimize(), images, rounds),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def milliseconds(model: torch.nn.Module, images: torch.Tensor, rounds: int) -> float:
    """Of one crop in one thread: the shortest of so many passes, processor time, so that other work counts little."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    shortest = float("inf")
    with torch.inference_mode():
        for _ in range(rounds + 3):
            start = time.process_time()
            model(images)
            shortest = min(shortest, time.process_time() - start)
    torch.set_num_threads(threads)
    return 1e3 * shortest


def errors_by_step(model: SPIGA, faces: AnnotatedFaces) -> dict[str, np.ndarray]:
    """Errors [F, L] in percent of x_0, of the heatmaps, of each step and of the landmarks, on plain crops."""
    found: dict[str, list[np.ndarray]] = {}
    truths = []
    for batch in tqdm(crops(model, faces), desc="crops", leave=False):
        said = look(model, batch.image)
        seen = {name: pos for name, pos in said.items() if name not in ("covariance", "visible")}
        for name, pos in seen.items():
            found.setdefault(name, []).append(pos.double().numpy())
        truths.append(true_positions(batch))
    truth = np.concatenate(truths)
    norm = norm_of(model, truth)[:, 0]
    return {name: landmark_errors(np.concatenate(parts), truth, norm) for name, parts in found.items()}


def accuracy(name: str, annotations: list[FaceRecord], root: Path) -> dict[str, Any]:
    """All errors on the annotated faces."""
    model = SPIGA.from_pretrained(name)
    faces = AnnotatedFaces(annotations, root, model.layout)
    steps = errors_by_step(model, faces)
    photos = [find_image(root, record.imgpath) for record in annotations]
    aligner = FaceAligner(name)
    found = list(tqdm(predict_records(aligner, annotations, photos), desc="photos", leave=False))
    whole = evaluate_faces(found, annotations)
    metrics = whole.landmarks
    *_, last = steps
    true = true_poses(model, annotations)
    apart = np.array([face.headpose[:3] for face in found if face.headpose]) - true[:, :3]
    gap = compare_errors(face_errors(steps["heatmaps"]), face_errors(steps[last]))
    return {
        "faces": metrics.faces,
        "norm": metrics.norm,
        "nme": metrics.nme,
        "interval": list(bootstrap_interval(metrics.per_face)),
        "nme_by_step": {key: nme(errors) for key, errors in steps.items()},
        "heatmaps_minus_landmarks": {"difference": gap.difference, "interval": list(gap.interval)},
        "percentiles": {"90": metrics.nme_p90, "95": metrics.nme_p95, "99": metrics.nme_p99},
        "threshold": metrics.threshold,
        "auc": metrics.auc,
        "failures": metrics.fr,
        "worst": float(metrics.per_face.max()),
        "pose": dict(zip(("yaw", "pitch", "roll"), np.abs(apart).mean(axis=0).tolist(), strict=True))
        if len(apart)
        else None,
        "by_contour": metrics.per_contour,
        "by_yaw": by_range(np.abs(true[:, 0]), metrics.per_face, YAWS),
        "by_size": by_range(np.array([max(face.bbox[2:]) for face in annotations]), metrics.per_face, SIZES),
        "coverage": coverage(aligner, annotations, photos) if model.config.uncertainty else None,
        "occluded": uncertainty.measure(model, faces, draws=2, seed=0),
        "moved": robustness.measure(model, faces, draws=5, seed=0),
        "views": views.measure(model, faces, draws=2, seed=0),
    }


def true_landmarks(model: SPIGA, annotations: list[FaceRecord]) -> np.ndarray:
    """[F, L, 2] in photo pixels, in the order of the model's layout."""
    return np.stack([landmarks_for(face, list(model.layout.ids)) for face in annotations])


def true_poses(model: SPIGA, annotations: list[FaceRecord]) -> np.ndarray:
    """Head pose [F, 6] of the true landmarks, in the crop and with the camera of the model."""
    size, layout = model.config.image_size, model.layout
    boxes = torch.tensor([face.bbox for face in annotations], dtype=torch.float64)
    crop = square_crop(boxes, size, model.config.crop_scale)
    points = transform_points(torch.from_numpy(true_landmarks(model, annotations)), crop)[:, layout.pose_rows]
    camera = camera_matrix(size, dtype=torch.float64)
    shape3d = torch.tensor(layout.shape3d)[layout.pose_rows]
    return pose_from_points(points, shape3d, camera, points.isfinite().all(dim=2)).numpy()


def by_range(values: np.ndarray, per_face: np.ndarray, ranges: tuple[tuple[int, int], ...]) -> list[dict[str, Any]]:
    """Faces and NME of each range."""
    inside = {(low, high): (values >= low) & (values < high) for low, high in ranges}
    return [
        {"from": low, "to": high, "faces": int(rows.sum()), "nme": float(per_face[rows].mean())}
        for (low, high), rows in inside.items()
        if rows.any()
    ]


def coverage(aligner: FaceAligner, annotations: list[FaceRecord], photos: list[Path]) -> dict[str, float]:
    """Share of the landmarks, percent, that lie inside the ellipses of 50, 80 and 95 %."""
    boxes = ([record.bbox] for record in annotations)
    faces = [face for (face,) in aligner.stream(photos, boxes)]
    found = np.stack([face.pos.double().numpy() for face in faces])
    spread = np.stack([face.covariance.double().numpy() for face in faces])
    apart = true_landmarks(aligner.model, annotations) - found
    return {f"{100 * level:g}": share for level, share in ellipse_coverage(apart, spread).items()}


def main() -> None:
    """Write a file for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--annotations", type=Path, required=True, help="test faces, as annotation records")
    parser.add_argument("--models", nargs="+", default=list(PRETRAINED), help="names (default: all that ship)")
    parser.add_argument("--threads", type=int, help="threads on the CPU (default: torch's own choice)")
    parser.add_argument("--out", type=Path, default=NUMBERS, help="folder of the files (default: docs/numbers)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    annotations = read_records(args.annotations)
    for name in args.models:
        figures = size_and_work(name) | accuracy(name, annotations, args.annotations.parent)
        path = args.out / f"{name}.json"
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: NME {figures['nme']:.4f} on {figures['faces']} faces, written to {path}")


if __name__ == "__main__":
    main()
