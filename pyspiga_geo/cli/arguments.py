"""The arguments of the commands."""

import re
from argparse import Action
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from jsonargparse import (  # type: ignore[attr-defined]
    ActionConfigFile,
    ArgumentParser,
    DefaultHelpFormatter,
    get_loader,
    set_loader,
)
from jsonargparse.typing import NonNegativeInt, PositiveInt
from yaml import YAMLError

from pyspiga_geo.settings import refuse_code, shown
from pyspiga_geo.training import TrainConfig

_CONFIGS = Path(__file__).parents[1] / "training" / "configs"
_NORMS = "inter_ocular, pupils, lnd_bbox, bbox, height, diagonal"
_MODEL = "base, compact, or a weights file"
_OVERWRITE = "replace files that this program did not write; inputs are never replaced"

_GROUPS = [each.name for each in fields(TrainConfig) if is_dataclass(each.type)]


def _plain_data(text: str) -> Any:
    """What a configuration file, or a value on the command line, holds in YAML; no names of code."""
    try:
        value = get_loader("yaml")(text)
    except (RecursionError, YAMLError) as error:
        if isinstance(error, YAMLError) and "nesting depth" not in str(error):  # a limit of newer parsers
            raise
        raise ValueError("too many or too deeply nested values for a configuration") from error
    refuse_code(value)
    for name in _GROUPS:
        # Of a text, a class of that name would be looked for.
        if isinstance(value, dict) and not isinstance(value.get(name, {}), dict):
            raise ValueError(f"{name} must be names and values, got {shown(value[name])}")
    return value


set_loader("plain", _plain_data, (YAMLError,))


def refuse_code_in(arguments: Sequence[str]) -> None:
    """Refuse arguments by which jsonargparse would import a module: class paths, and a word in place of a group.

    Raises:
        ValueError: naming the option.
    """
    for text, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option, equals, value = text.partition("=")
        if not option.startswith("--"):
            continue
        refuse_code({option.lstrip("-"): None})
        value = value if equals else following
        if option.lstrip("-") in _GROUPS and not value.lstrip().startswith("{") and not Path(value).is_file():
            raise ValueError(f"{option} must be a YAML file or {{name: value}}, got {shown(value)}")


class _ConfigFile(ActionConfigFile):
    """A YAML file, or the name of a configuration that the package ships."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        shipped = _CONFIGS / f"{values}.yaml"
        super().__call__(parser, cfg, str(shipped) if shipped.is_file() else values, option_string)


class _Help(DefaultHelpFormatter):
    """Help that shows a type as ``Path``, not as ``<class 'Path'>``."""

    def _expand_help(self, action: Action) -> str:
        return re.sub(r"<class '([\w.]+)'>", r"\1", super()._expand_help(action))


class _Number:
    """A number; or four, because jsonargparse checks an appended option once more as a whole."""

    def __call__(self, value: Any) -> Any:
        return [float(each) for each in value] if isinstance(value, list) else float(value)

    def __str__(self) -> str:
        return "float"  # in the help


def _add_speed(command: ArgumentParser) -> None:
    """Where a model runs on photos, and how many it takes at once."""
    command.add_argument("--device", type=str, default="cpu", help="where the model runs: cpu, cuda, cuda:1, mps")
    command.add_argument("--batch-size", type=PositiveInt, default=16, help="faces per batch of the model")
    _add_views(command)
    command.add_argument(
        "--workers", type=NonNegativeInt, default=0, help="threads that read photos for a model on a GPU"
    )


def _add_views(command: ArgumentParser, default: int | None = None) -> None:
    words = "1, 2 or 4 views of each face, whose mean counts: more exact and steadier, as many times slower"
    usual = " (default: 2 for base and compact, else 1)" if default is None else ""
    command.add_argument("--views", type=PositiveInt, default=default, help=words + usual)


@cache
def parser() -> ArgumentParser:
    """The parser of all commands, made once."""
    program = ArgumentParser(
        prog="pyspiga-geo",
        description="Facial landmarks by a cascade of graph networks.",
        parser_mode="plain",
        formatter_class=_Help,
    )
    program.add_argument("--version", action="version", version=f"pyspiga-geo {version('pyspiga-geo')}")
    commands = program.add_subcommands(dest="command")

    demo = ArgumentParser(description="Align a photo that ships with scikit-image and draw what was found.")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), help="folder of the picture")
    commands.add_subcommand("demo", demo, help="align a known photo and draw it")

    predict = ArgumentParser(description="Find the landmarks of the faces in photos.")
    predict.add_argument("images", nargs="+", type=str, metavar="IMAGE", help="photos, folders of photos, patterns")
    predict.add_argument(
        "--bbox",
        nargs=4,
        type=_Number(),
        action="append",
        metavar=("X", "Y", "W", "H"),
        help="box of a face, in pixels; repeat it for each face",
    )
    predict.add_argument(
        "--bbox-format",
        type=Literal["xywh", "xyxy"],
        default="xywh",
        help="form of --bbox: left, top, width, height; or left, top, right, bottom",
    )
    predict.add_argument("--any-angle", action="store_true", help="find faces that lie on their side or upside down")
    predict.add_argument("--model", type=str, default="base", help=_MODEL)
    _add_speed(predict)
    predict.add_argument("--devices", type=PositiveInt, default=1, help="number of processes, each on its own device")
    predict.add_argument("--num-nodes", type=PositiveInt, default=1, help="number of machines, under torchrun or SLURM")
    predict.add_argument("--out", type=Path, help="folder of the pictures; without it none are drawn")
    predict.add_argument("--picture-size", type=PositiveInt, metavar="PIXELS", help="longest side of the pictures")
    predict.add_argument("--sheet", type=Path, metavar="PNG", help="draw all faces side by side into one picture")
    predict.add_argument(
        "--json",
        type=Path,
        help="write the faces: NAME.jsonl with a line per photo, NAME.json as annotation records. "
        "If interrupted, the same command continues",
    )
    predict.add_argument("--overwrite", action="store_true", help=_OVERWRITE)
    commands.add_subcommand("predict", predict, help="find landmarks in photos")

    track = ArgumentParser(
        description="Follow the faces in a film. Call again with the same arguments to continue after an interruption."
    )
    track.add_argument(
        "film", type=str, metavar="FILM", help="a film, a folder of frames, or a camera by its name, as /dev/video0"
    )
    track.add_argument("--out", type=Path, metavar="FILM2", help="the film with its faces drawn, without sound")
    track.add_argument("--json", type=Path, help="JSON Lines, one per frame; default: beside --out, ending in .jsonl")
    track.add_argument("--model", type=str, default="compact", help=_MODEL)
    track.add_argument("--device", type=str, default="cpu", help="where the model runs: cpu, cuda, cuda:1, mps")
    _add_views(track, default=1)
    track.add_argument("--fps", type=float, help="frames per second of a folder or camera; default of folders: 25")
    track.add_argument("--detect-every", type=int, default=10, help="frames between two face detections")
    track.add_argument("--any-angle", action="store_true", help="find faces that lie on their side or upside down")
    track.add_argument("--min-cutoff", type=float, default=1.0, help="Hz; lower: less jitter of faces at rest")
    track.add_argument("--beta", type=float, default=40.0, help="higher: less lag of faces in motion")
    track.add_argument("--no-smoothing", action="store_true", help="do not smooth landmarks over time")
    track.add_argument("--overwrite", action="store_true", help=f"start anew, and {_OVERWRITE}")
    commands.add_subcommand("track", track, help="follow the faces in a film")

    train = ArgumentParser(
        description="Train the three stages; call again with the same --out to continue.",
        parser_mode="plain",
        formatter_class=_Help,
    )
    names = ", ".join(sorted(path.stem for path in _CONFIGS.glob("*.yaml")))
    train.add_argument("--config", action=_ConfigFile, help=f"YAML file, or one of: {names}")
    train.add_class_arguments(TrainConfig, skip={"skip_bad", "resume_anyway", "num_nodes"})
    train.add_argument("--num-nodes", type=PositiveInt, default=1, help="number of machines, under torchrun or SLURM")
    train.add_argument("--resume-anyway", action="store_true", help="continue even if settings or data have changed")
    train.add_argument("--skip-bad", action="store_true", help="leave out bad records and pictures")
    commands.add_subcommand("train", train, help="train a model on annotated faces")

    evaluate = ArgumentParser(description="Measure landmarks and head pose against annotations.")
    evaluate.add_argument("--model", type=str, help=f"{_MODEL}; runs on --images")
    evaluate.add_argument("--images", type=Path, help="folder of the annotations' images")
    _add_speed(evaluate)
    evaluate.add_argument("--predictions", type=Path, help="annotation records of an earlier prediction")
    evaluate.add_argument(
        "--compare", nargs="+", type=Path, default=[], metavar="OTHER", help="predictions of other methods"
    )
    evaluate.add_argument("--annotations", type=Path, required=True, help="annotation records of the truth")
    evaluate.add_argument(
        "--norm",
        type=str,
        help=f"what divides the errors: {_NORMS}, or two ids as 7,12; default: the layout's own",
    )
    evaluate.add_argument("--threshold", type=float, default=8.0, help="upper limit for AUC and failure rate, percent")
    evaluate.add_argument("--divisor", type=int, help="divisor of each face's sum of errors, instead of its landmarks")
    evaluate.add_argument("--subsets", type=Path, help="JSON file, name -> numbers of the faces")
    evaluate.add_argument("--skip-bad", action="store_true", help="leave out bad records and pictures")
    evaluate.add_argument("--json", type=Path, help="write the results")
    evaluate.add_argument("--report", type=Path, metavar="DIR", help="write a page with pictures")
    evaluate.add_argument("--predictions-out", type=Path, help="write the predictions as annotation records")
    evaluate.add_argument("--overwrite", action="store_true", help=_OVERWRITE)
    commands.add_subcommand("evaluate", evaluate, help="NME, AUC and failure rate")

    convert = ArgumentParser(description="Convert the authors' weights to a file of this package.")
    convert.add_argument("reference", type=Path, metavar="REFERENCE.pt", help="the authors' state dict")
    convert.add_argument("out", type=Path, metavar="OUT.safetensors", help="the file to write")
    convert.add_argument("--overwrite", action="store_true", help=_OVERWRITE)
    commands.add_subcommand("convert", convert, help="read the authors' weights")

    export = ArgumentParser(description="Write a model as one graph with a dynamic batch: crops in, landmarks out.")
    export.add_argument("out", type=Path, metavar="OUT", help="the file to write, in .onnx or .pt2")
    export.add_argument(
        "--format",
        type=Literal["onnx", "torch-export"],
        default="onnx",
        help="for onnxruntime and other runtimes, or for torch.export.load",
    )
    export.add_argument("--model", type=str, default="compact", help=_MODEL)
    export.add_argument("--overwrite", action="store_true", help=_OVERWRITE)
    commands.add_subcommand("export", export, help="write a model for onnxruntime or torch.export")
    return program
