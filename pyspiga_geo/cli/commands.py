"""What the commands do; ``evaluate`` has a file of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jsonargparse import Namespace

from pyspiga_geo.cli.evaluation import evaluate
from pyspiga_geo.cli.export import export
from pyspiga_geo.cli.messages import complain, describe
from pyspiga_geo.cli.outputs import check_outputs
from pyspiga_geo.data import FaceRecord, read_image, write_records
from pyspiga_geo.inference import FaceAligner, to_record
from pyspiga_geo.models import SPIGA, reference_model
from pyspiga_geo.training import TrainConfig


def demo(args: Namespace) -> None:
    """Align the photo of scikit-image and draw it."""
    from skimage.data import astronaut

    from pyspiga_geo.visualization import save_demo

    picture = args.out / "demo.png"
    check_outputs([picture], [], overwrite=False)
    aligner = FaceAligner()
    photo = torch.from_numpy(astronaut()).permute(2, 0, 1) / 255
    face = aligner(photo, attention=True)[0]
    yaw, pitch, roll = face.pose[:3].tolist()
    print(f"{len(face.pos)} landmarks; head: yaw {yaw:.1f}, pitch {pitch:.1f}, roll {roll:.1f} degrees")
    save_demo(picture, photo, face, aligner.layout)
    print(f"The picture is at {picture.resolve()}")


def predict(args: Namespace) -> None:
    """Find the landmarks of the faces in photos."""
    from pyspiga_geo.visualization import save_faces

    if args.bbox is not None and len(args.images) > 1:
        raise ValueError("--bbox goes with one image: it says where its faces are")
    pictures = _picture_paths(args.images, args.out)
    outputs = pictures if args.json is None else [*pictures, args.json]
    check_outputs(outputs, [*args.images, args.model], args.overwrite)
    aligner = FaceAligner(args.model)
    records: list[FaceRecord] = []
    failed = 0
    try:
        for image, picture in zip(args.images, pictures, strict=True):
            try:
                photo = read_image(image)
                faces = aligner(photo, args.bbox, box_format=args.bbox_format)
                if not faces:
                    raise ValueError("no face found; --bbox says where it is")
                records += [to_record(face, image, aligner.layout) for face in faces]
                save_faces(picture, photo, faces, aligner.layout)
            except (ValueError, OSError) as error:
                failed += 1
                reason = describe(error)
                complain(reason if image in reason else f"{image}: {reason}")
            else:
                print(f"{image}: {len(faces)} {'face' if len(faces) == 1 else 'faces'}, drawn in {picture}")
    finally:  # what was found before Ctrl+C is kept
        if args.json is not None and records:
            write_records(args.json, records)
    if failed:
        raise SystemExit(1)


def _picture_paths(images: Sequence[str], folder: Path) -> list[Path]:
    """One picture an image, named after it; numbered where names repeat."""
    paths: list[Path] = []
    for image in images:
        stem, path, number = Path(image).stem, folder / f"{Path(image).stem}.png", 2
        while path in paths:
            path, number = folder / f"{stem}_{number}.png", number + 1
        paths.append(path)
    return paths


def train(args: Namespace) -> None:
    """Train the stages."""
    try:
        from lightning.pytorch.utilities import rank_zero_only

        from pyspiga_geo.training.run import run_training
    except ImportError as error:
        raise ValueError(f"training needs more packages: pip install 'pyspiga-geo[train]' ({error})") from error
    config = TrainConfig(**{name: value for name, value in vars(args).items() if name != "config"})
    rank_zero_only(print)(f"The weights are at {run_training(config)}")


def convert(args: Namespace) -> None:
    """Turn the authors' weights into a file of this package."""
    check_outputs([args.out], [args.reference], args.overwrite)
    model: SPIGA = reference_model(args.reference)
    model.save(args.out)
    print(f"{len(model.layout)} landmarks ({model.layout.name}), written to {args.out}")


COMMANDS: dict[str, Callable[[Namespace], None]] = {
    "demo": demo,
    "predict": predict,
    "train": train,
    "evaluate": evaluate,
    "convert": convert,
    "export": export,
}
