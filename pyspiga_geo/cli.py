"""The command line. Each command says in one sentence what went wrong, and then exits with 1."""

import json
import sys
from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ActionConfigFile, ArgumentParser, Namespace  # type: ignore[attr-defined]  # as documented
from tqdm import tqdm

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import FaceRecord, find_image, read_image, read_records, sound_faces, write_records
from pyspiga_geo.evaluation import NORMALISERS, evaluate_landmarks, head_pose_errors, head_poses
from pyspiga_geo.inference import FaceAligner, predict_records, to_record
from pyspiga_geo.models import SPIGA, reference_model
from pyspiga_geo.training import TrainConfig

_CONFIGS = Path(__file__).parent / "training" / "configs"


class _ConfigFile(ActionConfigFile):
    """A YAML file, or the name of a configuration that the package ships."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        shipped = _CONFIGS / f"{values}.yaml"
        super().__call__(parser, cfg, str(shipped) if shipped.is_file() else values, option_string)


def _demo(args: Namespace) -> None:
    from skimage.data import astronaut

    from pyspiga_geo.visualization import save_demo

    aligner = FaceAligner()
    photo = torch.from_numpy(astronaut()).permute(2, 0, 1) / 255
    face = aligner(photo, attention=True)[0]
    yaw, pitch, roll = face.pose[:3].tolist()
    print(f"{len(face.pos)} landmarks; head: yaw {yaw:.1f}, pitch {pitch:.1f}, roll {roll:.1f} degrees")
    picture = args.out / "demo.png"
    save_demo(picture, photo, face, aligner.layout)
    print(f"The picture is at {picture.resolve()}")


def _predict(args: Namespace) -> None:
    from pyspiga_geo.visualization import save_faces

    if args.bbox is not None and len(args.images) > 1:
        raise ValueError("--bbox goes with one image: it is the box of its face")
    aligner = FaceAligner(args.model)
    records: list[FaceRecord] = []
    failed = 0
    for image, picture in zip(args.images, _picture_paths(args.images, args.out), strict=True):
        try:
            photo = read_image(image)
            faces = aligner(photo, None if args.bbox is None else [args.bbox])
            if not faces:
                raise ValueError("no face found; --bbox says where it is")
            save_faces(picture, photo, faces, aligner.layout)
        except ValueError as error:
            failed += 1
            _complain(str(error) if image in str(error) else f"{image}: {error}")
            continue
        records += [to_record(face, image, aligner.layout) for face in faces]
        print(f"{image}: {len(faces)} {'face' if len(faces) == 1 else 'faces'}, drawn in {picture}")
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


def _train(args: Namespace) -> None:
    try:
        from pyspiga_geo.training.run import run_training
    except ImportError as error:
        raise ValueError(
            f"training needs more packages: pip install 'pyspiga-geo[train]' ({error})"
        ) from error
    config = TrainConfig(**{name: value for name, value in vars(args).items() if name != "config"})
    print(f"The weights are at {run_training(config)}")


def _evaluate(args: Namespace) -> None:
    if (args.model is None) == (args.predictions is None) or (args.model is None) != (args.images is None):
        raise ValueError("evaluate needs either --model and --images, or --predictions")
    if args.skip_bad and args.predictions is not None:
        raise ValueError("--skip-bad goes with --model: with --predictions every face must have its pair")
    if args.predictions is not None:
        annotations = read_records(args.annotations)
        predictions = read_records(args.predictions)
    else:
        aligner = FaceAligner(args.model)
        annotations = sound_faces(args.annotations, args.images, aligner.layout.ids, args.skip_bad)
        photos = [find_image(args.images, record.imgpath) for record in annotations]
        faces = predict_records(aligner, annotations, photos)
        predictions = list(tqdm(faces, total=len(annotations), unit="face"))
    metrics = evaluate_landmarks(predictions, annotations, args.norm, args.threshold)
    pose = head_pose_errors(head_poses(predictions), head_poses(annotations))
    figures = metrics.to_dict() | {
        "pose_mae": {name: None if isnan(error) else error for name, error in pose.items()}
    }
    print(
        f"{metrics.faces} faces, errors in percent of {args.norm}\n"
        f"NME {metrics.nme:.4f}   P90 {metrics.nme_p90:.4f}   P95 {metrics.nme_p95:.4f}   P99 {metrics.nme_p99:.4f}\n"
        f"AUC_{args.threshold:g} {metrics.auc:.3f}   FR_{args.threshold:g} {metrics.fr:.4f}"
    )
    if not isnan(pose["mean"]):
        print(
            "head pose, mean absolute error in degrees: " + ", ".join(f"{n} {e:.3f}" for n, e in pose.items())
        )
    if args.predictions_out is not None:
        write_records(args.predictions_out, predictions)
    if args.json is not None:
        with atomic_path(args.json) as temporary:
            temporary.write_text(json.dumps(figures, indent=1, allow_nan=False))


def _convert(args: Namespace) -> None:
    model: SPIGA = reference_model(args.reference)
    model.save(args.out)
    print(f"{len(model.layout)} landmarks ({model.layout.name}), written to {args.out}")


_COMMANDS: dict[str, Callable[[Namespace], None]] = {
    "demo": _demo,
    "predict": _predict,
    "train": _train,
    "evaluate": _evaluate,
    "convert": _convert,
}


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="pyspiga-geo", description="Facial landmarks by a cascade of graph networks."
    )
    commands = parser.add_subcommands(dest="command")

    demo = ArgumentParser(description="Align a photo that ships with scikit-image and draw what was found.")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), help="folder of the picture")
    commands.add_subcommand("demo", demo, help="align a known photo and draw it")

    predict = ArgumentParser(description="Find the landmarks of the faces in photos.")
    predict.add_argument("images", nargs="+", type=str, metavar="IMAGE", help="photos")
    predict.add_argument(
        "--bbox", nargs=4, type=float, metavar=("X", "Y", "W", "H"), help="the face, in pixels"
    )
    predict.add_argument("--model", type=str, default="compact", help="compact, or a weights file")
    predict.add_argument("--out", type=Path, required=True, help="folder of the pictures")
    predict.add_argument("--json", type=Path, help="write the faces as annotation records")
    commands.add_subcommand("predict", predict, help="find landmarks in photos")

    train = ArgumentParser(description="Train the three stages; call again with the same --out to go on.")
    names = ", ".join(sorted(path.stem for path in _CONFIGS.glob("*.yaml")))
    train.add_argument("--config", action=_ConfigFile, help=f"YAML file, or one of: {names}")
    train.add_class_arguments(TrainConfig, skip={"skip_bad"})
    train.add_argument("--skip-bad", action="store_true", help="leave out bad records and pictures")
    commands.add_subcommand("train", train, help="train a model on annotated faces")

    evaluate = ArgumentParser(description="Measure landmarks against annotations.")
    evaluate.add_argument("--model", type=str, help="compact, or a weights file, to run on --images")
    evaluate.add_argument("--images", type=Path, help="folder in which the annotations' images lie")
    evaluate.add_argument("--predictions", type=Path, help="annotation records of an earlier prediction")
    evaluate.add_argument("--annotations", type=Path, required=True, help="annotation records of the truth")
    evaluate.add_argument(
        "--norm", choices=list(NORMALISERS), default="corners", help="what divides the errors"
    )
    evaluate.add_argument("--threshold", type=float, default=8.0, help="of AUC and failure rate, in percent")
    evaluate.add_argument("--skip-bad", action="store_true", help="leave out bad records and pictures")
    evaluate.add_argument("--json", type=Path, help="write the figures")
    evaluate.add_argument("--predictions-out", type=Path, help="write the predictions as annotation records")
    commands.add_subcommand("evaluate", evaluate, help="NME, AUC and failure rate")

    convert = ArgumentParser(description="Turn the authors' weights into a file of this package.")
    convert.add_argument("reference", type=Path, metavar="REFERENCE.pt", help="the authors' state dict")
    convert.add_argument("out", type=Path, metavar="OUT.safetensors", help="the file to write")
    commands.add_subcommand("convert", convert, help="read the authors' weights")
    return parser


def _complain(reason: str) -> None:
    lines = [" ".join(line.split()) for line in reason.splitlines()]
    print("pyspiga-geo: " + "\n  ".join(lines), file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; ``argv`` defaults to the arguments of the process.

    Raises:
        SystemExit: with 1 after a message when the command could not do its work, 2 for wrong usage, 130 when
            interrupted.
    """
    parser = _parser()
    namespace = parser.instantiate(parser.parse_args(argv))
    try:
        _COMMANDS[namespace.command](namespace[namespace.command])
    except (ValueError, OSError) as error:
        _complain(str(error))
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        _complain("interrupted")
        raise SystemExit(130) from error
