"""Faces found without boxes: how many, at which angles, and what that costs in landmarks.

    python benchmarks/detection.py --annotations photos.json            # whole photos with annotated faces
    python benchmarks/detection.py --annotations 300w/test.json --landmarks   # one annotated face per picture

Without `--landmarks`: each photo is turned by 0, 30, 60, 90 and 180 degrees and searched at any angle, and searched as
it is for upright faces. An annotated face counts as found when a find's centre lies within half a box of its own and
its size is right to a factor of 2. Finds that are no annotated face are counted and listed: look at them, annotations
seldom name every face.

With `--landmarks`: NME of the find on each picture, against NME in the annotated boxes; upright, and turned by a
quarter with `upright=False`. A face that is not found is counted, and left out of the NME.
"""

import argparse
import math
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pyspiga_geo import FaceAligner, FaceData
from pyspiga_geo.data import FaceRecord, read_image, read_records
from pyspiga_geo.evaluation import evaluate_faces
from pyspiga_geo.geometry import transform_points, warp_image
from pyspiga_geo.inference import FaceBoxes, find_faces, to_record
from pyspiga_geo.inference.any_angle import find_at_any_angle

ANGLES = (0, 30, 60, 90, 180)


def turned(image: Tensor, degrees: float) -> tuple[Tensor, Tensor]:
    """A picture turned clockwise, with black around, and the map [3, 3] from its pixels before to those after."""
    height, width = image.shape[1:]
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    side = math.ceil(max(abs(width * cos) + abs(height * sin), abs(width * sin) + abs(height * cos)))
    middle, centre = (side - 1) / 2, ((width - 1) / 2, (height - 1) / 2)
    matrix = torch.tensor(
        [
            [cos, -sin, middle - cos * centre[0] + sin * centre[1]],
            [sin, cos, middle - sin * centre[0] - cos * centre[1]],
            [0, 0, 1],
        ]
    )
    return warp_image(image, matrix, side), matrix


def near(found: FaceBoxes, record: FaceRecord, matrix: Tensor) -> Tensor:
    """Which finds [N] are this face."""
    x, y, w, h = record.bbox
    (centre,) = transform_points(torch.tensor([[x + w / 2, y + h / 2]]), matrix)
    middle = found.box[:, :2] + found.box[:, 2:] / 2
    at_place = ((middle - centre).abs() < max(w, h) / 2).all(dim=1)
    return at_place & ((found.box[:, 2:].amax(dim=1) / max(w, h)).log2().abs() < 1)


def count_finds(records: Sequence[FaceRecord], images: Path) -> None:
    """Print how many annotated faces are found at each angle."""
    photos = [(name, list(faces)) for name, faces in groupby(records, key=lambda record: record.imgpath)]
    ways = [("upright", 0, find_faces)]
    ways += [("any angle", degrees, lambda view: find_at_any_angle(find_faces, view)) for degrees in ANGLES]
    for way, degrees, search in ways:
        hits, others, seconds = 0, [], []
        for name, faces in tqdm(photos, leave=False):
            view, matrix = turned(read_image(images / name), degrees)
            start = time.perf_counter()
            found = search(view)
            seconds.append(time.perf_counter() - start)
            known = torch.zeros(len(found.score), dtype=torch.bool)
            for record in faces:
                hits += bool(near(found, record, matrix).any())
                known |= near(found, record, matrix)
            others += [(name, [round(side) for side in box]) for box in found.box[~known].tolist()]
        print(
            f"{way:>9}, turned by {degrees:3d}: {hits} of {len(records)} found, {len(others)} further finds, "
            f"{1000 * np.median(seconds):.0f} ms a photo (median)"
        )
        for name, box in others:
            print(f"{'':>11}{name} {box}")


def landmarks_without_boxes(aligner: FaceAligner, records: Sequence[FaceRecord], images: Path) -> None:
    """Print NME in annotated boxes and in found ones, upright and turned by a quarter."""
    pictures = [read_image(images / record.imgpath) for record in records]
    ids = aligner.layout.ids

    def report(name: str, faces: Sequence[FaceData | None]) -> None:
        pairs = [(face, record) for face, record in zip(faces, records, strict=True) if face is not None]
        predicted = [to_record(face, record.imgpath, aligner.layout) for face, record in pairs]
        measured = evaluate_faces(predicted, [record for _, record in pairs])
        print(f"{name:>28}: {len(pairs)} of {len(records)} found, NME {measured.landmarks.nme:.3f}")

    assert all(set(record.ids) <= set(ids) for record in records), "the annotations have other landmarks"
    boxes = ([record.bbox] for record in records)
    report("annotated boxes", [face for (face,) in aligner.stream(pictures, boxes)])
    for name, degrees, upright in (("found", 0, True), ("found, any angle", 0, False), ("turned by 90", 90, False)):
        views, faces = [turned(picture, degrees) for picture in pictures], []
        found = aligner.stream([view for view, _ in views], upright=upright)
        for each, record, (_, matrix) in zip(tqdm(found, total=len(views), leave=False), records, views, strict=True):
            faces.append(nearest(each, record, matrix))
        report(name, faces)


def nearest(faces: Sequence[FaceData], record: FaceRecord, matrix: Tensor) -> FaceData | None:
    """The face of a record in a turned picture, brought back into the picture as it was; None where it is not found."""
    for face in faces:
        one = FaceBoxes(face.bbox[None], torch.ones(1), torch.zeros(1))
        if near(one, record, matrix).any():
            face.pos = transform_points(face.pos, torch.linalg.inv(matrix))
            return face
    return None


def main() -> None:
    """Read the arguments and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path, required=True, help="annotation records")
    parser.add_argument("--images", type=Path, help="folder of the pictures; default: that of the annotations")
    parser.add_argument("--landmarks", action="store_true", help="measure landmarks")
    parser.add_argument("--model", default="compact", help="compact, or a weights file")
    parser.add_argument("--faces", type=int, help="only the first so many")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = options.images or options.annotations.parent
    records = sorted(read_records(options.annotations), key=lambda record: record.imgpath)[: options.faces]
    if options.landmarks:
        landmarks_without_boxes(FaceAligner(options.model), records, images)
    else:
        count_finds(records, images)


if __name__ == "__main__":
    main()
