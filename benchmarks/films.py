"""Faces followed through films whose landmarks are known: error, jitter, lag, speed, and who is who after a crossing.

    python benchmarks/films.py                                  # a photo of scikit-image, truth: the model's own finds
    python benchmarks/films.py --photo face.jpg --annotations records.json      # truth: the photo's record
    python benchmarks/films.py --json docs/numbers/films.json                   # what the documentation says

Turning: a photo is moved, zoomed and turned in the picture and about its upright axis, with noise of its own in each
frame, and goes through an encoded film. Of the landmarks with and without smoothing are printed

- NME: mean distance to the truth over the distance of the outer eye corners, percent, mean over the frames;
- jitter: mean norm of the second difference, from frame to frame, of the landmarks' errors (found minus true), in
  percent of the mean distance of the outer eye corners. The true motion is taken out, so that smooth is 0;
- lag in frames: that by which the true landmarks, moved on with their own speed, fit those found best.

Crossing: two faces pass each other, one before the other. Kept means that each has its first identity at the end.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from pyspiga_geo import FaceAligner, FaceTracker
from pyspiga_geo.data import read_records
from pyspiga_geo.layouts import EYE_CORNER_IDS, Layout
from pyspiga_geo.tracking import read_film, track_film, write_film

WIDTH, HEIGHT, FPS = 640, 480, 25
FACE = 150
"""Longer side of the face in the middle of its zoom, pixels."""


# ---- films with known landmarks


def view(photo: Image.Image, points: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Homography [3, 3], pixel indices of the photo to those of the frame: the face turns as it moves about."""
    low, high = points.min(axis=0), points.max(axis=0)
    roll = math.radians(20) * math.sin(2 * math.pi * seconds / 3.0)
    yaw = math.radians(25) * math.sin(2 * math.pi * seconds / 4.1)
    zoom = FACE / (high - low).max() * 1.2 ** math.sin(2 * math.pi * seconds / 5.3)
    centre = np.diag([zoom, zoom, 1.0]) @ shift(-(low + high) / 2)
    about = np.array([[math.cos(yaw), 0, 0], [0, 1, 0], [math.sin(yaw) / (6 * FACE), 0, 1]])
    turn = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    place = (
        WIDTH / 2 + 120 * math.sin(2 * math.pi * seconds / 4.0),
        HEIGHT / 2 + 50 * math.sin(2 * math.pi * seconds / 2.7),
    )
    return shift(place) @ turn @ about @ centre


def shift(by: tuple[float, float] | NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.eye(3)
    matrix[:2, 2] = by
    return matrix


def moved(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, w = matrix @ np.column_stack([points, np.ones(len(points))]).T
    return np.column_stack([x / w, y / w])


def seen(photo: Image.Image, matrix: NDArray[np.float64]) -> Image.Image:
    """The photo through a homography, on its own blurred copy."""
    half = np.array((0.5, 0.5))  # Pillow counts from a pixel's corner
    back = shift(half) @ np.linalg.inv(matrix) @ shift(-half)
    view = photo.convert("RGBA").transform(
        (WIDTH, HEIGHT),
        Image.Transform.PERSPECTIVE,
        (back / back[2, 2]).flatten()[:8].tolist(),
        Image.Resampling.BICUBIC,
    )
    frame = photo.resize((WIDTH, HEIGHT)).filter(ImageFilter.GaussianBlur(40))
    frame.paste(view, mask=view.getchannel("A"))
    return frame


def noisy(frame: Image.Image, noise: float, random: np.random.Generator) -> NDArray[np.uint8]:
    pixels = np.asarray(frame, dtype=np.float32)
    return (
        (pixels + noise * random.standard_normal(pixels.shape, dtype=np.float32)).round().clip(0, 255).astype(np.uint8)
    )


# ---- what is measured


def report_turning(
    aligner: FaceAligner, photo: Image.Image, points: NDArray[np.float64], options: argparse.Namespace
) -> dict[str, Any]:
    """Print the figures, and return them; nothing of a film in which the face was lost."""
    random = np.random.default_rng(0)
    times = np.arange(options.frames) / FPS
    views = [view(photo, points, seconds) for seconds in times]
    truth = torch.tensor(np.stack([moved(points, matrix) for matrix in views]))
    ahead = torch.tensor(np.stack([moved(points, view(photo, points, seconds + 1e-3)) for seconds in times]))
    velocity = (ahead - truth) / 1e-3 / FPS  # pixels per frame
    with tempfile.TemporaryDirectory() as folder:
        out = Path(options.out or folder)
        with write_film(out / "film.mp4", WIDTH, HEIGHT, FPS) as film:
            for matrix, seconds in zip(views, times, strict=True):
                film.write(noisy(seen(photo, matrix), options.noise, random), seconds)
        film = read_film(out / "film.mp4")
        start = time.perf_counter()
        decoded = sum(1 for _ in film)
        decoding = decoded / (time.perf_counter() - start)
        tracker = FaceTracker(aligner, options.detect_every, min_cutoff=options.min_cutoff, beta=options.beta)
        (out / "faces.jsonl").unlink(missing_ok=True)
        start = time.perf_counter()
        frames = list(track_film(film, tracker, out / "faces.jsonl", out / "drawn.mp4"))
        speed = len(frames) / (time.perf_counter() - start)
    lost = [frame.number for frame in frames if [face.identity for face in frame.faces] != [1]]
    name = "astronaut" if options.photo is None else options.photo.name
    print(f"turning: {len(frames)} frames of {WIDTH} x {HEIGHT}, noise {options.noise:g} of 255, {name}")
    print(f"  frames without exactly the one face: {lost or 'none'}")
    if lost:
        return {}
    corners = [aligner.layout.ids.index(number) for number in EYE_CORNER_IDS]
    eyes = (truth[:, corners[0]] - truth[:, corners[1]]).norm(dim=-1)
    print("              NME %   jitter %   lag frames")
    rows = {}
    for name, key in (("measured", "measured"), ("smoothed", "pos")):
        found = torch.stack([frame.faces[0][key] for frame in frames]).double()
        error = found - truth
        nme = (error.norm(dim=-1).mean(dim=1) / eyes).mean()
        jitter = error.diff(n=2, dim=0).norm(dim=-1).mean() / eyes.mean()
        lag = -(error * velocity).sum() / velocity.square().sum()
        print(f"  {name}    {100 * nme:6.2f}   {100 * jitter:8.2f}   {lag:10.2f}")
        rows[name] = {"nme": 100 * nme.item(), "jitter": 100 * jitter.item(), "lag": lag.item()}
    size = (truth.amax(dim=1) - truth.amin(dim=1)).amax(dim=1).mean()
    pace = truth.mean(dim=1).diff(dim=0).norm(dim=-1) * FPS / size
    print(f"  speed of the face: mean {pace.mean():.2f}, at most {pace.max():.2f} face sizes per second")
    print(f"  {speed:.1f} frames/s from film to drawn film and lines; decoding alone {decoding:.0f} frames/s")
    return {"frames": len(frames), "turning": rows, "speed_mean": pace.mean().item(), "frames_per_second": speed}


def crossing(
    photo: Image.Image, points: NDArray[np.float64], frames: int, front: int
) -> Iterator[tuple[Image.Image, NDArray[np.float64]]]:
    """Two heads that pass each other, and the centres [2, 2] of their faces; the second is the photo's mirror image."""
    low, high = points.min(axis=0), points.max(axis=0)
    zoom, middle, size = 110 / (high - low).max(), (low + high) / 2, (high - low).max()
    box = [*(middle - size).tolist(), *(middle + size).tolist()]
    head = photo.crop([round(side) for side in box]).resize((round(2 * size * zoom),) * 2, Image.Resampling.BICUBIC)
    mask = Image.new("L", head.size)
    margin = head.width * 0.12
    ImageDraw.Draw(mask).ellipse([margin, 0, head.width - margin, head.height * 0.9], 255)
    mask = mask.filter(ImageFilter.GaussianBlur(3))
    other = ImageOps.mirror(head).point(lambda value: round(0.75 * value))
    background = photo.resize((WIDTH, HEIGHT)).filter(ImageFilter.GaussianBlur(40))
    for number in range(frames):
        along = number / (frames - 1)
        centres = np.array([[120 + 400 * along, 235], [520 - 400 * along, 245]])
        frame = background.copy()
        for index in (1 - front, front):
            corner = centres[index] - head.width / 2
            frame.paste((head, other)[index], [round(value) for value in corner.tolist()], mask)
        yield frame, centres


def report_crossing(
    aligner: FaceAligner, photo: Image.Image, points: NDArray[np.float64], options: argparse.Namespace
) -> None:
    random = np.random.default_rng(1)
    for front in (0, 1):
        tracker = FaceTracker(aligner, options.detect_every)
        who: list[tuple[int | None, ...]] = []
        hidden = 0
        for number, (frame, centres) in enumerate(crossing(photo, points, options.crossing, front)):
            faces = tracker(noisy(frame, options.noise, random), number / FPS)
            middles = {face.identity: face.bbox[:2] + face.bbox[2:] / 2 for face in faces}
            named = []
            for centre in torch.tensor(centres):
                near = {identity: torch.dist(middle.double(), centre).item() for identity, middle in middles.items()}
                best = min(near, key=near.__getitem__, default=None)
                named.append(best if best is not None and near[best] < 55 else None)
            who.append(tuple(named))
            hidden += len(faces) < 2
            if options.out:
                from pyspiga_geo.visualization import draw_overlay

                draw_overlay(frame, faces, aligner.layout).save(options.out / f"crossing_{front}_{number:03}.png")
        kept = who[0] == who[-1] and None not in who[0]
        given = {identity for pair in who for identity in pair if identity is not None}
        print(
            f"crossing, {('first', 'second')[front]} face in front: identities {who[0]} -> {who[-1]}, kept: "
            f"{'yes' if kept else 'NO'}; {len(given)} given; one face hidden in {hidden} of {len(who)} frames"
        )


# ---- all of it


def photo_and_points(aligner: FaceAligner, options: argparse.Namespace) -> tuple[Image.Image, NDArray[np.float64]]:
    if options.photo is None:
        from skimage.data import astronaut

        photo = Image.fromarray(astronaut())
    else:
        photo = ImageOps.exif_transpose(Image.open(options.photo)).convert("RGB")
    if options.annotations is None:
        faces = aligner(photo)
        if not faces:
            raise SystemExit("no face found in the photo")
        return photo, faces[0].pos.double().numpy()
    for record in read_records(options.annotations):
        if Path(record.imgpath).name == options.photo.name:
            return photo, in_order(record.ids, record.landmarks, aligner.layout)
    raise SystemExit(f"{options.annotations} has no record of {options.photo.name}")


def in_order(ids: tuple[int, ...], landmarks: NDArray[np.float64], layout: Layout) -> NDArray[np.float64]:
    return landmarks[[list(ids).index(number) for number in layout.ids]]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photo", type=Path, help="a photo with one face (default: scikit-image's astronaut)")
    parser.add_argument("--annotations", type=Path, help="records, of which that of the photo is the truth")
    parser.add_argument("--model", default="compact", help="compact, or a weights file")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--crossing", type=int, default=75, help="frames of the crossing (default: %(default)s)")
    parser.add_argument("--noise", type=float, default=6.0, help="standard deviation, of 255 (default: %(default)s)")
    parser.add_argument("--detect-every", type=int, default=10)
    parser.add_argument("--min-cutoff", type=float, default=1.0)
    parser.add_argument("--beta", type=float, default=40.0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="folder that keeps the films")
    parser.add_argument("--json", type=Path, help="write the figures of the turning face")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    aligner = FaceAligner(options.model, device=options.device, views=1)  # as `track`
    photo, points = photo_and_points(aligner, options)
    figures = report_turning(aligner, photo, points, options)
    if options.json is not None:
        options.json.write_text(json.dumps({"model": options.model, **figures}, indent=1) + "\n", encoding="utf-8")
    report_crossing(aligner, photo, points, options)


if __name__ == "__main__":
    main()
