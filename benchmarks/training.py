"""Whether training waits for its data: steps a second with and without the loader, and the loader alone.

    python benchmarks/training.py                                        # pictures drawn for the occasion
    python benchmarks/training.py --annotations 300w/train.json

One step is stage 2 of the recipe: augmentation of the batch, forward, losses, backward, AdamW. `cached` repeats one
batch, `loader` reads each from pictures on disk with worker processes. A step has the configuration's 24 faces, for the
reference network two: with 24 the run was killed for want of memory on a machine of 24 GiB. What is compared is crops
a second.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import torch
from jsonargparse import ArgumentParser
from PIL import Image
from torch_geometric.data import Batch

import pyspiga_geo.training
from pyspiga_geo import SPIGA, get_layout
from pyspiga_geo.data import FaceRecord, SyntheticFaces, write_records
from pyspiga_geo.training import TrainConfig
from pyspiga_geo.training.data import FaceDataModule
from pyspiga_geo.training.stages import BackboneStage

CONFIGS = Path(pyspiga_geo.training.__file__).parent / "configs"
BATCH_SIZE = {"compact_300w": 24, "reference_300w": 2}
LOADER_BATCHES, LOADER_BATCH_SIZE = 20, 24


def read_config(name: str, annotations: Path, out: Path, workers: int) -> TrainConfig:
    """A shipped configuration, on these pictures."""
    parser = ArgumentParser()
    parser.add_class_arguments(TrainConfig)
    values = parser.parse_path(str(CONFIGS / f"{name}.yaml"), defaults=True, _skip_validation=True)
    values.annotations, values.out = str(annotations), str(out)
    config = TrainConfig(**vars(parser.instantiate(values)))
    return replace(config, workers=workers)


def draw_pictures(folder: Path, count: int) -> Path:
    """Write synthetic faces as JPEG with their annotations, about as large as the crops of 300-W."""
    layout = get_layout("ibug68")
    records = []
    for index, face in enumerate(SyntheticFaces(layout, count, size=360)):
        pixels = (255 * face.image.permute(1, 2, 0)).byte().numpy()
        Image.fromarray(pixels).save(folder / f"{index}.jpg", quality=92)
        records.append(
            FaceRecord(
                f"{index}.jpg",
                tuple(face.bbox.tolist()),
                tuple(layout.ids),
                face.pos.double().numpy(),
                face.visible.double().numpy(),
            )
        )
    write_records(folder / "train.json", records)
    return folder / "train.json"


def steps_per_second(stage: BackboneStage, batches: Iterable[Batch], steps: int) -> float:
    """Training steps a second, after two that do not count."""
    optimizer = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad])
    precision = stage.config.precision
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision.startswith("bf16"))
    started = 0.0
    for step, batch in enumerate(islice(batches, steps + 2)):
        if step == 2:
            started = time.perf_counter()
        images, pos, mask = stage.unpack(batch)
        with torch.no_grad():
            images = stage.photometric(images).contiguous(memory_format=torch.channels_last)
        with autocast:
            total = torch.stack(list(stage.loss(images, pos, mask).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return steps / (time.perf_counter() - started)


def crops_per_second(batches: Iterator[Batch]) -> float:
    """Crops a second of the loader alone, after two batches that do not count."""
    list(islice(batches, 2))
    started = time.perf_counter()
    list(islice(batches, LOADER_BATCHES))
    return LOADER_BATCHES * LOADER_BATCH_SIZE / (time.perf_counter() - started)


def endless(config: TrainConfig, model: SPIGA, batch_size: int) -> Iterator[Batch]:
    """Batches of epoch after epoch."""
    loader = FaceDataModule(replace(config, batch_size=batch_size), model.config).train_dataloader()
    while True:
        yield from loader


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--annotations", type=Path, help="annotation records; default: synthetic faces")
    parser.add_argument("--configs", nargs="+", default=list(BATCH_SIZE), choices=list(BATCH_SIZE))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        annotations = args.annotations or draw_pictures(Path(folder), 300)
        for name in args.configs:
            config = read_config(name, annotations, Path(folder), args.workers)
            batch_size = BATCH_SIZE[name]
            model = SPIGA.from_preset(config.preset, config.layout, **config.model).train()
            stage = BackboneStage(model, config, config.pose, with_pose=True)
            stage.to(memory_format=torch.channels_last)
            alone = crops_per_second(endless(config, model, LOADER_BATCH_SIZE))
            cached = steps_per_second(stage, cycle([next(endless(config, model, batch_size))]), args.steps)
            loaded = steps_per_second(stage, endless(config, model, batch_size), args.steps)
            rows.append(
                {
                    "config": name,
                    "faces_per_step": batch_size,
                    "steps_per_second_cached": cached,
                    "steps_per_second_loader": loaded,
                    "crops_per_second_loader_alone": alone,
                    "loader_feeds_times_what_the_model_eats": alone / (cached * batch_size),
                }
            )
            print(
                f"{name}, {batch_size} faces a step: {cached:.3f} steps/s cached, {loaded:.3f} steps/s with the "
                f"loader, {alone:.0f} crops/s of the loader alone: "
                f"{rows[-1]['loader_feeds_times_what_the_model_eats']:.1f} times what the model eats",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
