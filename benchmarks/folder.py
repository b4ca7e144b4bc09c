"""How quickly a folder of photos is done, against what its parts can do side by side; and batches against one by one.

    python benchmarks/folder.py                 # 200 drawn-together photos, some minutes
    python benchmarks/folder.py --photos 1000
    python benchmarks/folder.py --images FOLDER # photos of your own

The parts, each by itself in one thread: reading and searching a photo and cutting out its faces; the model on the cut
faces in batches. On a machine with C cores the best that both can do side by side is their sum over C. Then the whole,
`FaceAligner.stream` with worker threads, and the same faces one by one, as a loop over `aligner(photo, boxes)` does; in
as many threads as there are cores.
Only ratios count, and only those of one run.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pyspiga_geo import FaceAligner
from pyspiga_geo.data import FORMATS, as_photo
from pyspiga_geo.inference.crops import align_crops, cut_faces
from pyspiga_geo.inference.detector import find_faces


def make_photos(folder: Path, count: int) -> list[Path]:
    """JPEG photos of 1024 x 1024 pixels with one face each, every one a little different."""
    from skimage.data import astronaut

    large = Image.fromarray(astronaut()).resize((1024, 1024))
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:04}.jpg" for number in range(count)]
    for path in paths:
        shift = tuple(int(value) for value in rng.integers(-60, 60, 2))
        large.transform(large.size, Image.Transform.AFFINE, (1, 0, shift[0], 0, 1, shift[1])).save(path, quality=90)
    return paths


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came out."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def batches(items: list[Any], size: int) -> Iterable[list[Any]]:
    """Items in groups."""
    return (items[start : start + size] for start in range(0, len(items), size))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200, help="how many are made")
    parser.add_argument("--images", type=Path, help="a folder of photos instead")
    parser.add_argument("--model", default="compact", help="compact, or a weights file")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    options = parser.parse_args()
    aligner = FaceAligner(options.model, views=1)
    config = aligner.model.config
    with tempfile.TemporaryDirectory() as folder:
        if options.images is None:
            photos = make_photos(Path(folder), options.photos)
        else:
            endings = {end for end, name in Image.registered_extensions().items() if name in FORMATS}
            photos = sorted(path for path in options.images.rglob("*") if path.suffix.lower() in endings)

        def prepare() -> list[Any]:
            images = map(as_photo, photos)
            return [cut_faces(image, find_faces(image), config.image_size, config.crop_scale) for image in images]

        def run_model() -> None:
            for crops in batches(prepared, options.batch_size):
                align_crops(aligner.model, crops, options.batch_size, False, torch.device("cpu"))

        aligner(photos[0])  # what is made at the first call
        torch.set_num_threads(1)
        reading, prepared = timed(prepare)
        model, _ = timed(run_model)
        ideal = (reading + model) / options.cores
        found = [[box.tolist() for box in each.boxes.box] for each in prepared]
        torch.set_num_threads(options.cores)
        one_by_one, _ = timed(
            lambda: [aligner(path, [box]) for path, boxes in zip(photos, found, strict=True) for box in boxes]
        )
        print(f"{len(photos)} photos, {sum(map(len, found))} faces, {options.cores} cores")
        print(f"reading, searching, cutting {reading:8.2f} s in one thread\nmodel {model:30.2f} s in one thread")
        for workers in range(options.cores + 1):
            torch.set_num_threads(max(options.cores - workers, 1))
            stream = {"batch_size": options.batch_size, "workers": workers}
            whole, _ = timed(lambda stream=stream: sum(map(len, aligner.stream(photos, **stream))))
            given, _ = timed(lambda stream=stream: sum(map(len, aligner.stream(photos, found, **stream))))
            print(
                f"stream, {workers} worker threads: {whole:6.2f} s, {ideal / whole:4.0%} of the best side by side; "
                f"with boxes {given:6.2f} s, {one_by_one / given:.2f} x one by one"
            )


if __name__ == "__main__":
    main()
