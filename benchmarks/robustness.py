"""How much landmarks move when the box is a little off, when the face is turned a little, and in the mirror.

    python benchmarks/robustness.py --annotations 300w/train.json --validation 0.03

`box`: the box is shifted by up to 5 % of its longer side in x and in y, and 10 % larger or smaller at most; `turned`:
the crop is turned by up to 10 degrees either way; both are drawn for each face, several times. `mirror`: the mirrored
photo against the mirrored landmarks. NME, and how far landmarks are from where they are in the plain crop, both in
percent of what the layout's errors are divided by (68 landmarks: the outer eye corners), mean over landmarks, faces
and draws.
"""

import argparse

import numpy as np
import torch
from faces import add_face_arguments, crops, load, norm_of, true_positions, write_json
from torch_geometric.transforms import BaseTransform

from pyspiga_geo import SPIGA
from pyspiga_geo.data import AnnotatedFaces
from pyspiga_geo.data.transforms import RandomAffine, RandomFlip
from pyspiga_geo.geometry import invert_transform, transform_points

SHIFT, SCALE, DEGREES = 0.05, 0.1, 10.0


def found_and_true(
    model: SPIGA, faces: AnnotatedFaces, aim: BaseTransform | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks that the model finds, and the true ones, both [F, L, 2] in photo pixels."""
    found, true = [], []
    for batch in crops(model, faces, aim=aim, seed=seed):
        with torch.no_grad():
            out = model(batch.image)
        to_photo = invert_transform(batch.crop.double())
        found.append(transform_points(model.config.image_size * out.landmarks.double(), to_photo))
        true.append(transform_points(model.config.image_size * torch.from_numpy(true_positions(batch)), to_photo))
    return torch.cat(found).numpy(), torch.cat(true).numpy()


def percent(model: SPIGA, apart: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of vectors [F, L, 2] in percent of the norm, as the NME counts: faces first, each as much."""
    distance = 100 * np.linalg.norm(apart, axis=-1) / norm_of(model, truth)
    return float(np.nanmean(np.nanmean(distance, axis=1)))


def measure(model: SPIGA, faces: AnnotatedFaces, draws: int, seed: int) -> dict[str, dict[str, float]]:
    """NME and movement, percent, under each change."""
    size, layout = model.config.image_size, model.layout
    plain, truth = found_and_true(model, faces, None, seed)
    figures = {"plain": {"nme": percent(model, plain - truth, truth), "movement": 0.0}}
    changes: dict[str, list[BaseTransform]] = {
        "box": draws * [RandomAffine(size, 0, SCALE, SHIFT / model.config.crop_scale)],
        "turned": draws * [RandomAffine(size, DEGREES, 0, 0)],
        "mirror": [RandomFlip(size, layout, p=1)] if layout.flip is not None else [],
    }
    for name, aims in changes.items():
        nme, movement = [], []
        for draw, aim in enumerate(aims):
            found, _ = found_and_true(model, faces, aim, seed + draw)
            if name == "mirror":  # row i is the landmark that looks like i in the mirror
                found = found[:, list(layout.flip)]
            nme.append(percent(model, found - truth, truth))
            movement.append(percent(model, found - plain, truth))
        if nme:
            figures[name] = {"nme": float(np.mean(nme)), "movement": float(np.mean(movement))}
    return figures


def table(figures: dict[str, dict[str, float]]) -> str:
    lines = [f"{'':8} {'NME %':>8} {'movement %':>11}"]
    lines += [f"{name:8} {row['nme']:8.3f} {row['movement']:11.3f}" for name, row in figures.items()]
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_face_arguments(parser)
    parser.add_argument("--draws", type=int, default=5, help="changes drawn for each face (default: %(default)s)")
    args = parser.parse_args()
    model, faces = load(args)
    figures = measure(model, faces, args.draws, args.seed)
    print(f"{args.model}, {len(faces)} faces, {args.draws} draws")
    print(table(figures))
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
