"""Train on landmarks of your own: nine points of a cat's head, from annotation records and PNG files to a model.

    python examples/train_on_your_data.py --out cats         # about three minutes on two cores

Your data takes three things: pictures, a JSON file of annotation records, and a layout (which points there are, how a
mirror exchanges them, how they are joined). Where the points lie on a rigid head is estimated from the annotations. The
cats are drawn. Writes `data/train.json` with its pictures, the training run in `run` (its `report.md` shows how well it
went, its `model.safetensors` carries the layout too) and `cats.png`: cats that the model has never seen.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from pyspiga_geo import FaceAligner, Layout, register_layout
from pyspiga_geo.data import FaceRecord, find_image, read_image, read_records, write_records
from pyspiga_geo.geometry import camera_matrix, points_to_box, project, transform_points, warp_image
from pyspiga_geo.training import AugmentationConfig, LossConfig, StageConfig, TrainConfig
from pyspiga_geo.training.run import run_training
from pyspiga_geo.visualization import face_sheet, save_figure

SIZE = 96

# Ids 7 and 12 mean the outer corners of the right and left eye in every layout, and their distance is what errors are
# divided by; the other numbers are our own.
IDS = (7, 12, 301, 302, 303, 304, 305, 306, 307)
FLIP = (1, 0, 3, 2, 4, 6, 5, 8, 7)
CONTOURS = {
    "right_ear": (7, 2),
    "left_ear": (3, 8),
    "eyes": (0, 4, 1),
    "muzzle": (5, 4, 6),
}

# What is drawn. Axes: X out of the face, Y to the cat's right, Z down.
HEAD = torch.tensor(
    [
        (0.35, 0.45, -0.10), (0.35, -0.45, -0.10),  # outer eye corners
        (-0.20, 0.70, -1.05), (-0.20, -0.70, -1.05),  # tips of the ears
        (0.85, 0.00, 0.25),  # nose
        (0.60, 0.22, 0.50), (0.60, -0.22, 0.50),  # corners of the mouth
        (-0.05, 0.85, -0.30), (-0.05, -0.85, -0.30),  # outer ends of the ears
    ],
    dtype=torch.float64,
)  # fmt: skip


def draw_cat(rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """A picture of a cat's head, and its landmarks [9, 2] in pixels."""
    pose = torch.tensor([*rng.uniform(-25, 25, 3), *rng.uniform(-0.2, 0.2, 2), rng.uniform(5.0, 6.5)])
    points = project(
        HEAD * torch.tensor(rng.uniform(0.9, 1.1, 3)), pose.double(), camera_matrix(SIZE, dtype=torch.float64)
    )
    right, left, right_ear, left_ear, nose, *mouth, right_side, left_side = points.numpy()
    coarse = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    canvas = Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    fur = tuple(rng.integers(60, 230, 3).tolist())
    dark = tuple(value // 3 for value in fur)
    middle = (right + left) / 2
    chin = nose + 1.2 * (np.mean(mouth, axis=0) - nose)
    for tip, side in ((right_ear, right_side), (left_ear, left_side)):
        pen.polygon([tuple(tip), tuple(side), tuple(middle)], fill=fur, outline=dark)
    reach = 1.05 * np.linalg.norm(right_side - left_side) / 2
    centre = (middle + chin) / 2
    pen.ellipse([*(centre - reach), *(centre + reach)], fill=fur, outline=dark)
    for corner in (right, left):
        inner = corner + 0.55 * (middle - corner)
        eye, half = (corner + inner) / 2, np.linalg.norm(corner - inner) / 2
        pen.ellipse([*(eye - half), *(eye + half)], fill=(210, 230, 90), outline=dark)
    for corner in mouth:
        pen.line([tuple(nose), tuple(corner)], fill=dark, width=2)
    pen.ellipse([*(nose - 2.5), *(nose + 2.5)], fill=(220, 120, 130), outline=dark)
    return canvas, points.numpy()


def write_cats(folder: Path, number: int, seed: int) -> Path:
    """Write drawn cats as annotation records: one JSON file, and one PNG a cat beside it."""
    rng = np.random.default_rng(seed)
    records = []
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for index in range(number):
        picture, landmarks = draw_cat(rng)
        name = f"images/cat{index:04d}.png"
        picture.save(folder / name)
        box = points_to_box(torch.from_numpy(landmarks)).tolist()
        records.append(FaceRecord(name, tuple(box), IDS, landmarks, visible=np.ones(len(IDS)), group=f"cat {index}"))
    write_records(folder / "train.json", records)
    return folder / "train.json"


def save_cats(path: Path, aligner: FaceAligner, annotations: Path) -> float:
    """Draw what the model finds on annotated cats; return its mean error in pixels."""
    size = aligner.model.config.image_size
    crops, truth, found, errors = [], [], [], []
    for record in read_records(annotations):
        photo = read_image(find_image(annotations.parent, record.imgpath))
        (cat,) = aligner(photo, [record.bbox])
        points = torch.from_numpy(record.landmarks).float()
        errors.append((cat.pos - points).norm(dim=1).mean().item())
        crops.append(warp_image(photo, cat.crop, size))
        truth.append(transform_points(points, cat.crop) / size)
        found.append(transform_points(cat.pos, cat.crop) / size)
    save_figure(path, face_sheet(torch.stack(crops), torch.stack(truth), torch.stack(found), aligner.layout))
    return float(np.mean(errors))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for data, run and picture")
    parser.add_argument("--quick", action="store_true", help="few cats, one short epoch a stage: to see it run")
    options = parser.parse_args()
    quick = options.quick

    annotations = write_cats(options.out / "data", number=24 if quick else 600, seed=0)
    layout = register_layout(
        Layout.from_annotations("cat9", read_records(annotations), ids=IDS, flip=FLIP, contours=CONTOURS)
    )
    stage = StageConfig(epochs=1 if quick else 10, lr=3e-3)
    config = TrainConfig(
        annotations,
        options.out / "run",
        layout=layout.name,
        model={
            "image_size": 64,
            "channels": 16 if quick else 32,
            "num_stacks": 1,
            "depth": 2,
            "num_layers": 2,
        },
        batch_size=8 if quick else 16,
        workers=0,
        average_decay=0.99,
        landmarks=stage,
        pose=stage,
        cascade=stage,
        loss=LossConfig(attention=10),
        augmentation=AugmentationConfig(degrees=15, occlusion=0, blur=0),
    )
    weights = run_training(config)
    new = write_cats(options.out / "new", number=8, seed=1)
    error = save_cats(options.out / "cats.png", FaceAligner(weights), new)
    print(f"8 new cats: {error:.1f} pixels from the truth, in pictures of {SIZE} x {SIZE}")
    print(f"{options.out / 'run' / 'report.md'}, {options.out / 'cats.png'}")


if __name__ == "__main__":
    main()
