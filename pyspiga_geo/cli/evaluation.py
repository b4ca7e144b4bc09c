"""The command ``evaluate``: predictions against annotations, as tables, JSON and a page."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from tqdm import tqdm

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.cli.outputs import check_outputs, check_report
from pyspiga_geo.data import FaceRecord, find_image, read_records, sound_faces, write_records
from pyspiga_geo.evaluation import (
    NORMALISERS,
    Evaluation,
    compare_evaluations,
    evaluate_faces,
    layout_of,
    read_subsets,
)
from pyspiga_geo.evaluation.tables import comparison_table, contour_table, parts_table, pose_table, summary
from pyspiga_geo.inference import FaceAligner, predict_records
from pyspiga_geo.layouts.layout import Normaliser, current_name


def evaluate(args: Namespace) -> None:
    """Measure landmarks and head pose against annotations."""
    _check(args)
    _check_outputs(args)
    norm = _normaliser(args.norm)
    name, *others = _names([args.predictions or Path(args.model), *args.compare])
    aligner = None if args.model is None else FaceAligner(args.model, device=args.device, views=args.views)
    if aligner is None:
        annotations = read_records(args.annotations)
    else:
        annotations = sound_faces(args.annotations, args.images, aligner.layout.ids, args.skip_bad)
    # The layout of a model need not be registered; the ids of built-in ones tell what the annotations are of.
    own = None if aligner is None or layout_of(aligner.layout.ids) == aligner.layout else aligner.layout
    subsets = None if args.subsets is None else read_subsets(args.subsets, len(annotations))

    def measured(predictions: Sequence[FaceRecord], where: object) -> Evaluation:
        try:
            return evaluate_faces(predictions, annotations, norm, args.threshold, args.divisor, subsets, own)
        except ValueError as error:
            raise ValueError(f"{where} against {args.annotations}: {error}") from error

    compared = {
        other: measured(read_records(path), path) for other, path in zip(others, args.compare, strict=True)
    }  # before a model works for hours
    if aligner is None:
        predictions = read_records(args.predictions)
    else:
        photos = [find_image(args.images, record.imgpath) for record in annotations]
        faces = predict_records(aligner, annotations, photos, args.batch_size, args.workers)
        predictions = list(tqdm(faces, total=len(annotations), unit="face", disable=None))
    evaluations = {name: measured(predictions, args.predictions or args.model)} | compared
    page = None
    if args.report is not None:  # first: it may lack a photo, and then nothing is written
        from pyspiga_geo.visualization import write_evaluation_report

        page = write_evaluation_report(args.report, evaluations, predictions, annotations, args.images, own)
    if args.predictions_out is not None:
        write_records(args.predictions_out, predictions)
    if args.json is not None:
        with atomic_path(args.json) as temporary:
            temporary.write_text(json.dumps(_figures(evaluations), indent=1, allow_nan=False))
    _print(evaluations)
    if page is not None:
        print(f"\nThe report is at {page.resolve()}")


def _check_outputs(args: Namespace) -> None:
    files = [path for path in (args.json, args.predictions_out) if path is not None]
    inputs = [args.annotations, args.predictions, args.model, args.subsets, *args.compare]
    check_outputs(files, [path for path in inputs if path is not None], args.overwrite)
    if args.report is not None:
        check_report(args.report, args.overwrite)


def _check(args: Namespace) -> None:
    if (args.model is None) == (args.predictions is None) or (args.model and args.images is None):
        raise ValueError("evaluate needs either --model and --images, or --predictions")
    if args.predictions is not None and args.images is not None and args.report is None:
        raise ValueError("--images goes with --model, or with --report, which draws faces on them")
    if args.skip_bad and args.predictions is not None:
        raise ValueError("--skip-bad goes with --model: with --predictions every face must have its pair")
    if args.skip_bad and (args.subsets is not None or args.compare):
        raise ValueError("--skip-bad changes the faces' numbers: it does not go with --subsets and --compare")


def _normaliser(text: str | None) -> Normaliser | None:
    """Read a normaliser from the command line."""
    if text is None or current_name(text) in NORMALISERS:
        return text
    try:
        one, other = map(int, text.split(","))
    except ValueError as error:
        raise ValueError(f"--norm must be one of {', '.join(NORMALISERS)}, or two ids as 7,12, not {text!r}") from error
    return one, other


def _names(paths: Sequence[Path]) -> list[str]:
    """What the methods are called: their files' names without the ending where these differ, else their paths."""
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else str(path) for path in paths]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{twice[0]} is given twice")
    return names


def _print(evaluations: Mapping[str, Evaluation]) -> None:
    first = next(iter(evaluations.values()))
    tables = [summary(first)]
    if len(evaluations) > 1:
        tables.append(comparison_table(evaluations))
    if first.subsets or first.by_yaw:
        tables.append(parts_table(first))
    if first.landmarks.per_contour:
        tables.append(contour_table(evaluations))
    if first.pose.faces:
        tables.append(pose_table(first))
    print("\n\n".join(tables))


def _figures(evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    first, *others = evaluations
    figures = evaluations[first].to_dict()
    if others:
        figures["compare"] = {
            name: evaluations[name].to_dict()
            | {
                "difference": {
                    part: paired.to_dict()
                    for part, paired in compare_evaluations(evaluations[name], evaluations[first]).items()
                }
            }
            for name in others
        }
    return figures
