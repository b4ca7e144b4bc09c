"""The command ``predict``: photos in, pictures and records out."""

import sys
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace
from tqdm import tqdm

from pyspiga_geo.cli.journal import Journal
from pyspiga_geo.cli.messages import complain, describe
from pyspiga_geo.cli.outputs import check_outputs
from pyspiga_geo.cli.photos import Named, find_photos, picture_paths
from pyspiga_geo.data import read_image
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference import FaceAligner, to_record


def predict(args: Namespace) -> None:
    """Find the landmarks of the faces in photos."""
    photos = find_photos(args.images)
    if args.out is None and args.json is None:
        raise ValueError("predict needs --out, a folder for pictures, or --json, a file for the landmarks")
    if args.bbox is not None and len(photos) > 1:
        raise ValueError("--bbox goes with one image: it says where its faces are")
    pictures: Sequence[Path | None] = [None] * len(photos)
    inputs = [*(photo.path for photo in photos), args.model]
    if args.out is not None:
        pictures = picture_paths(photos, args.out)
        check_outputs([path for path in pictures if path is not None], inputs, args.overwrite)
    journal = None
    if args.json is not None:
        settings = {"model": args.model, "any_angle": args.any_angle, "boxes": args.bbox}
        check_outputs([args.json], inputs, overwrite=True)
        journal = Journal(args.json, settings, args.overwrite)
        check_outputs([args.json], inputs, args.overwrite or journal.resumes)
    todo = [
        (photo, picture)
        for photo, picture in zip(photos, pictures, strict=True)
        if journal is None or photo.path not in journal.done
    ]
    if journal is not None and journal.done:
        print(f"{len(photos) - len(todo)} of {len(photos)} photos were done before; going on in {journal.lines}")
    aligner = FaceAligner(args.model, device=args.device)
    complete = False
    try:
        failed = _work(aligner, args, todo, journal)
        complete = True
    finally:  # what was found before Ctrl+C is kept
        if journal is not None:
            journal.close(complete)
    if failed:
        raise SystemExit(1)


def _work(
    aligner: FaceAligner, args: Namespace, todo: Sequence[tuple[Named, Path | None]], journal: Journal | None
) -> int:
    """Find, write and draw the faces of each photo; the number of photos of which something failed."""
    failed = 0
    found = aligner.stream(
        [photo.path for photo, _ in todo],
        None if args.bbox is None else [args.bbox],
        box_format=args.bbox_format,
        upright=not args.any_angle,
        batch_size=args.batch_size,
        workers=args.workers,
        return_exceptions=True,
    )
    work = zip(todo, found, strict=True)
    for (photo, picture), faces in tqdm(work, total=len(todo), unit="photo", disable=None, leave=False):
        try:
            if not isinstance(faces, list):
                raise faces
            if journal is not None:
                journal.add(photo.path, [to_record(face, photo.path, aligner.layout) for face in faces])
            said = {0: "no face", 1: "1 face"}.get(len(faces), f"{len(faces)} faces")
            if picture is not None:
                _draw(picture, photo.path, faces, aligner)
                said += f", drawn in {picture}"
            tqdm.write(f"{photo.path}: {said}", file=sys.stdout)
        except (ValueError, OSError) as error:
            failed += 1
            reason = describe(error)
            complain(reason if photo.path in reason else f"{photo.path}: {reason}")
    return failed


def _draw(picture: Path, photo: str, faces: Sequence[FaceData], aligner: FaceAligner) -> None:
    import pyspiga_geo.visualization as visualization

    visualization.save_faces(picture, read_image(photo), faces, aligner.layout)
