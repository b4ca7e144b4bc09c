"""The command ``predict``: photos in, pictures and records out."""

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jsonargparse import Namespace
from tqdm import tqdm

from pyspiga_geo.cli.journal import Journal
from pyspiga_geo.cli.messages import complain, describe
from pyspiga_geo.cli.outputs import check_outputs
from pyspiga_geo.cli.photos import Named, find_photos, picture_paths
from pyspiga_geo.cli.processes import share_out
from pyspiga_geo.data import read_pillow
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference import FaceAligner, to_record
from pyspiga_geo.inference.views import default_views
from pyspiga_geo.layouts import Layout

Job = tuple[Named, Path | None]
"""A photo and its picture."""


def predict(args: Namespace) -> None:
    """Find the landmarks of the faces in photos."""
    photos = find_photos(args.images)
    if args.out is args.json is args.sheet is None:
        raise ValueError("predict needs --out, a folder for pictures, --json, a file for the landmarks, or --sheet")
    alone = args.devices * args.num_nodes == 1
    if args.sheet is not None and not alone:
        raise ValueError("--sheet is drawn by one process")
    if args.bbox is not None and len(photos) > 1:
        raise ValueError("--bbox goes with one image: it says where its faces are")
    pictures: Sequence[Path | None] = [None] * len(photos)
    inputs = [*(photo.path for photo in photos), args.model]
    if args.out is not None:
        pictures = picture_paths(photos, args.out)
        check_outputs([path for path in pictures if path is not None], inputs, args.overwrite)
    if args.sheet is not None:
        check_outputs([args.sheet], inputs, args.overwrite)
    journal = None if args.json is None else _journal(args, inputs)
    jobs = [
        (photo, picture)
        for photo, picture in zip(photos, pictures, strict=True)
        if journal is None
        or photo.path not in journal.done
        or args.sheet is not None  # which shows all faces
        or (picture is not None and not picture.exists())  # stopped between its line and its picture
    ]
    if journal is not None and journal.done:
        print(f"{len(photos) - len(jobs)} of {len(photos)} photos are already done; continuing {args.json}")
    # Each process makes it, on its own device.
    aligner = cache(lambda: FaceAligner(args.model, device=args.device, views=args.views))
    if alone:
        aligner()  # what is wrong with it is told before anything is written
    if journal is not None:
        journal.begin()
    complete, first = False, True
    try:
        if alone:
            failed = _work(aligner(), args, jobs, journal)
        else:
            failed, first = share_out(
                jobs,
                lambda share, process: _work(aligner(), args, share, journal, process),
                args.device,
                args.devices,
                args.num_nodes,
            )
        complete = True
    finally:  # what was found before Ctrl+C is kept
        if journal is not None and first:
            journal.finish([photo.path for photo in photos], complete)
    if failed:
        raise SystemExit(1)


def _journal(args: Namespace, inputs: Sequence[str]) -> Journal:
    check_outputs([args.json], inputs, overwrite=True)  # for other reasons than that it exists
    views = args.views or default_views(args.model)
    settings = {"model": args.model, "views": views, "any_angle": args.any_angle, "boxes": args.bbox}
    journal = Journal(args.json, settings, args.overwrite)
    check_outputs([args.json], inputs, args.overwrite or journal.resumes)
    return journal


def _work(aligner: FaceAligner, args: Namespace, jobs: Sequence[Job], journal: Journal | None, process: int = 0) -> int:
    """Find, write and draw the faces of each photo; the number of photos of which something failed."""
    from pyspiga_geo.visualization import ContactSheet, save_picture

    failed, sheet = 0, ContactSheet(aligner.layout)
    found = aligner.stream(
        [photo.path for photo, _ in jobs],
        None if args.bbox is None else [args.bbox],
        box_format=args.bbox_format,
        upright=not args.any_angle,
        batch_size=args.batch_size,
        workers=args.workers,
        return_exceptions=True,
    )
    work = zip(jobs, found, strict=True)
    for (photo, picture), faces in tqdm(work, total=len(jobs), unit="photo", disable=None, leave=False):
        try:
            if not isinstance(faces, list):
                raise faces
            if journal is not None and photo.path not in journal.done:
                journal.add(photo.path, [to_record(face, photo.path, aligner.layout) for face in faces], process)
            said = {0: "no face", 1: "1 face"}.get(len(faces), f"{len(faces)} faces")
            if picture is not None:
                _draw(picture, photo.path, faces, aligner.layout, args.picture_size)
                said += f", drawn in {picture}"
            if args.sheet is not None and faces:
                pixels = read_pillow(photo.path)
                for face in faces:
                    sheet.add(pixels, face)
            tqdm.write(f"{photo.path}: {said}", file=sys.stdout)
        except (ValueError, OSError) as error:
            failed += 1
            reason = describe(error)
            complain(reason if photo.path in reason else f"{photo.path}: {reason}")
    if args.sheet is not None:
        save_picture(args.sheet, sheet.picture())
        print(f"All faces side by side: {args.sheet}")
    return failed


def _draw(picture: Path, photo: str, faces: Sequence[FaceData], layout: Layout, longest: int | None) -> None:
    import pyspiga_geo.visualization as visualization

    visualization.save_faces(picture, read_pillow(photo), faces, layout, longest)
