"""What several views of a face bring: NME, how far landmarks move, and the work, for 1, 2 and 4 views.

    python benchmarks/views.py --annotations 300w/train.json --validation 0.03

Photos and boxes go through `FaceAligner(views=...)`. `box`: the box is shifted by up to 5 % of its longer side in x and
in y, and 10 % larger or smaller at most, drawn for each face, several times; `mirror`: the mirrored photo against
the mirrored landmarks. Movement is from where landmarks are in the annotated box, in percent of what the layout's
errors are divided by, mean over landmarks, faces and draws.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from faces import add_face_arguments, load, write_json
from robustness import SCALE, SHIFT, percent
from torch import Tensor

from pyspiga_geo import SPIGA, FaceAligner
from pyspiga_geo.data import AnnotatedFaces, find_image, landmarks_for, read_image
from pyspiga_geo.inference.views import VIEWS


def found(aligner: FaceAligner, photos: Sequence[Tensor], boxes: np.ndarray) -> np.ndarray:
    """Landmarks [F, L, 2] in pixels of each face's photo."""
    aligned = aligner.stream(photos, ([box.tolist()] for box in boxes))
    return np.stack([face.pos.double().numpy() for (face,) in aligned])


def moved_boxes(boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Boxes [F, 4] shifted and scaled about their middles."""
    side = boxes[:, 2:].max(axis=1, keepdims=True)
    middle = boxes[:, :2] + boxes[:, 2:] / 2 + side * rng.uniform(-SHIFT, SHIFT, (len(boxes), 2))
    size = boxes[:, 2:] * rng.uniform(1 - SCALE, 1 + SCALE, (len(boxes), 1))
    return np.concatenate([middle - size / 2, size], axis=1)


def measure(model: SPIGA, faces: AnnotatedFaces, draws: int, seed: int) -> dict[str, dict[str, float]]:
    """Figures by number of views."""
    photos = [read_image(find_image(faces.root, record.imgpath)) for record in faces.records]
    mirrored = [photo.flip(-1) for photo in photos]
    boxes = np.array([record.bbox for record in faces.records])
    truth = np.stack([landmarks_for(record, list(model.layout.ids)) for record in faces.records])
    last = np.array([photo.size(-1) - 1.0 for photo in photos])
    across = np.column_stack([last + 1 - boxes[:, 0] - boxes[:, 2], boxes[:, 1:]])  # box edges lie between pixels
    figures = {}
    for views in VIEWS if model.layout.flip is not None else (1,):
        aligner, rng = FaceAligner(model, views=views), np.random.default_rng(seed)
        plain = found(aligner, photos, boxes)
        others = [found(aligner, photos, moved_boxes(boxes, rng)) for _ in range(draws)]
        figures[str(views)] = {
            "nme": percent(model, plain - truth, truth),
            "box_nme": float(np.mean([percent(model, other - truth, truth) for other in others])),
            "box": float(np.mean([percent(model, other - plain, truth) for other in others])),
        }
        if model.layout.flip is not None:
            back = found(aligner, mirrored, across)[:, list(model.layout.flip)]
            back[..., 0] = last[:, None] - back[..., 0]
            figures[str(views)]["mirror"] = percent(model, back - plain, truth)
    return figures


def table(figures: dict[str, dict[str, float]]) -> str:
    lines = [f"{'views':>5} {'NME %':>8} {'box: NME %':>11} {'movement %':>11} {'mirror %':>9}"]
    for views, row in figures.items():
        mirror = f"{row['mirror']:9.3f}" if "mirror" in row else ""
        lines.append(f"{views:>5} {row['nme']:8.3f} {row['box_nme']:11.3f} {row['box']:11.3f} {mirror}")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_face_arguments(parser)
    parser.add_argument("--draws", type=int, default=2, help="boxes drawn for each face (default: %(default)s)")
    args = parser.parse_args()
    model, faces = load(args)
    figures = measure(model, faces, args.draws, args.seed)
    print(f"{args.model}, {len(faces)} faces, {args.draws} draws, {torch.get_num_threads()} threads")
    print(table(figures))
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
