"""The command ``track``: the faces of a film, drawn and as JSON Lines."""

import hashlib
from pathlib import Path

import torch
from jsonargparse import Namespace
from torch import nn
from tqdm import tqdm

from pyspiga_geo.cli.outputs import check_outputs
from pyspiga_geo.inference import FaceAligner
from pyspiga_geo.tracking import FaceTracker, Film, read_film, track_film
from pyspiga_geo.tracking.lines import read_header
from pyspiga_geo.tracking.writing import is_own_film


def track(args: Namespace) -> None:
    """Follow the faces of a film."""
    if args.out is None and args.json is None:
        raise ValueError("say where the results go: --out for a film, --json for the faces, or both")
    json = args.json or args.out.with_suffix(".jsonl")
    film = read_film(args.film, args.fps)
    _check_outputs(args, json, film)
    aligner = FaceAligner(args.model, device=args.device, views=args.views)
    tracker = FaceTracker(
        aligner,
        args.detect_every,
        upright=not args.any_angle,
        smooth=not args.no_smoothing,
        min_cutoff=args.min_cutoff,
        beta=args.beta,
    )
    about = {"model": Path(args.model).name, "weights": _digest(aligner.model), "views": 1 + len(aligner.views.others)}
    frames = track_film(film, tracker, json, args.out, about, overwrite=args.overwrite)
    count, identities = 0, set[int]()
    try:
        for tracked in tqdm(frames, total=film.frames, unit="frame", disable=None):
            count = tracked.number + 1
            identities |= {int(face.identity) for face in tracked.faces}
    except KeyboardInterrupt:
        if film.kind != "camera":
            raise
        frames.close()
    print(f"{count} frames, {len(identities)} {'face' if len(identities) == 1 else 'faces'}, written to {json}")
    if args.out is not None:
        print(f"The film is at {args.out.resolve()}")


def _check_outputs(args: Namespace, json: Path, film: Film) -> None:
    """Files of an earlier run may be continued or replaced; others only when told so."""
    inputs = [args.film, args.model]
    if film.kind == "folder":
        inputs += [str(path) for path in Path(args.film).iterdir()]
    continued = film.kind != "camera" and read_header(json) is not None
    check_outputs([json], inputs, args.overwrite or continued)
    if args.out is not None:
        if args.out.resolve() == json.resolve():
            raise ValueError(f"{json}: --out and --json must be two files")
        check_outputs([args.out], inputs, args.overwrite or (args.out.is_file() and is_own_film(args.out)))


def _digest(model: nn.Module) -> str:
    """A number that tells a model's weights from those of others."""
    digest = hashlib.sha256()
    for name, values in model.state_dict().items():
        digest.update(name.encode())
        digest.update(values.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
