"""Train several models at once on one GPU, in a given time; how recipes were compared, and `base` was trained.

    python scripts/train_on_gpu.py --annotations 300w/train.json --out runs/gpu --minutes 7 base_300w compact_300w

A step of models as small as these is thousands of small operations, which the processor cannot start as fast as a GPU
computes them. So each model's loss and its gradients are recorded once as a CUDA graph, which is then replayed; the
graphs of several models in turn, for when they ran side by side they hung. All models learn from the same crops, in the
stage `joint` of their configurations alone, whose number of epochs is ignored: the learning rate follows the clock, so
that its cycle ends when the time is over. Crops, losses, optimiser and moving average are those of the package. Weights
are written ten times in all, as `OUT/NAME-STEP.safetensors`, so that those best on the validation faces may be chosen.
For the uncertainty of the landmarks, train on:

    pyspiga-geo train --config base_300w --joint.epochs 0 --weights runs/gpu/base_300w-5317.safetensors ...

On a CPU, nothing is recorded: for trying this program.
"""

import argparse
import copy
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch_geometric.data import Batch

from pyspiga_geo import FaceData, Layout
from pyspiga_geo.cli.arguments import parser
from pyspiga_geo.evaluation import normaliser
from pyspiga_geo.models.head_pose import pose_targets
from pyspiga_geo.seed import seed_everything
from pyspiga_geo.training import TrainConfig, stages
from pyspiga_geo.training.augmentation import photometric
from pyspiga_geo.training.data import FaceDataModule
from pyspiga_geo.training.run import first_model
from pyspiga_geo.training.sampling import SeededFaces, SeededSampler

WARM_UP = 0.05
"""Share of the time in which the learning rate rises."""

SAVES = 10
"""How often weights are written."""


class GraphTargets:
    """The targets of the backbone, computed without anything that a CUDA graph cannot hold.

    The package indexes by lists, which are copied to the GPU each time, and fits poses by loops that look at their
    values. Here the indices lie on the GPU, and poses come with the crops.
    """

    def __init__(self, layout: Layout, device: str) -> None:
        self.members = [torch.tensor(list(each), device=device) for each in layout.contours.values()]
        self.poses: Tensor | None = None
        stages.boundary_heatmaps = self.boundary_heatmaps  # type: ignore[attr-defined]
        stages.boundary_mask = self.boundary_mask  # type: ignore[attr-defined]
        stages.pose_targets = lambda *_: self.poses  # type: ignore[attr-defined]

    def boundary_heatmaps(self, pos: Tensor, layout: Layout, size: int, sigma: float) -> Tensor:
        """As :func:`pyspiga_geo.training.targets.boundary_heatmaps`."""
        steps = torch.arange(size, dtype=pos.dtype, device=pos.device)
        pixels = torch.cartesian_prod(steps, steps).flip(1)
        maps = []
        for members in self.members:
            line = size * pos[:, members]
            start, along = line[:, :-1, None], (line[:, 1:] - line[:, :-1])[:, :, None]
            length = along.square().sum(dim=-1).clamp(min=1e-12)
            part = (((pixels - start) * along).sum(dim=-1) / length).clamp(0, 1)
            squared = (start + part[..., None] * along - pixels).square().sum(dim=-1).amin(dim=1)
            maps.append(torch.exp(-squared / (2 * sigma**2)))
        return torch.stack(maps, dim=1).unflatten(-1, (size, size))

    def boundary_mask(self, mask: Tensor, layout: Layout) -> Tensor:
        """As :func:`pyspiga_geo.training.targets.boundary_mask`."""
        return torch.stack([mask[:, members].all(dim=1) for members in self.members], dim=1)


class Crops:
    """The training crops, batch after batch, in tensors whose place does not change: a recorded step reads them."""

    def __init__(self, config: TrainConfig, data: FaceDataModule, layout: Layout, focal: float, device: str) -> None:
        self.device, self.layout, self.focal = device, layout, focal
        self.sampler = SeededSampler(data.training, config.seed)
        self.photometric = photometric(config.augmentation)
        self.loader = DataLoader(
            SeededFaces(data.training),
            config.batch_size,
            sampler=self.sampler,
            drop_last=True,
            num_workers=config.workers,
            collate_fn=self.collate,
            persistent_workers=config.workers > 0,
            pin_memory=device == "cuda",
        )
        self.epoch = 0
        self.batches = self.endless()
        self.side = torch.cuda.Stream() if device == "cuda" else None  # copies must not wait for steps
        images, *others = self.prepared()
        self.fields = [images.clone(memory_format=torch.channels_last), *others]

    def collate(self, faces: list[FaceData]) -> tuple[Tensor, ...]:
        """Images in half precision, which are copied sooner, positions, mask and poses."""
        batch: Any = Batch.from_data_list(faces)
        shape = (len(faces), len(self.layout))
        pos, mask = batch.pos.view(*shape, 2), batch.mask.view(shape)
        return batch.image.half(), pos, mask, pose_targets(pos, mask, self.layout, self.focal)

    def endless(self) -> Iterator[tuple[Tensor, ...]]:
        """Epoch after epoch."""
        while True:
            self.sampler.set_epoch(self.epoch)
            yield from self.loader
            self.epoch += 1

    def prepared(self) -> list[Tensor]:
        """The next batch, with other colours."""
        batch = next(self.batches)
        if self.side is None:
            images, *others = batch
            return [self.photometric(images.float()), *others]
        with torch.cuda.stream(self.side):
            images, *others = (field.to(self.device, non_blocking=True) for field in batch)
            fields = [self.photometric(images.float()), *others]
        torch.cuda.current_stream().wait_stream(self.side)
        for field in fields:
            field.record_stream(torch.cuda.current_stream())
        return fields

    def load(self) -> None:
        """Put the next batch where the steps read it."""
        for field, value in zip(self.fields, self.prepared(), strict=True):
            field.copy_(value)


class Learner:
    """A model that learns, and the moving average of its weights."""

    def __init__(self, name: str, config: TrainConfig, crops: Crops, targets: GraphTargets, device: str) -> None:
        seed_everything(config.seed)
        self.name, self.config, self.crops, self.targets = name, config, crops, targets
        self.model = first_model(config)[0].to(device).to(memory_format=torch.channels_last)
        self.stage = stages.JointStage(self.model.train(), config, config.joint).to(device)
        self.parameters = [each for each in self.stage.parameters() if each.requires_grad]
        self.graph: torch.cuda.CUDAGraph | None = None
        self.loss = torch.zeros(())
        if device == "cuda":
            self.record()
        self.optimizer = torch.optim.AdamW(
            self.parameters, config.joint.lr, weight_decay=config.weight_decay, fused=device == "cuda"
        )
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        pairs = list(zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True))
        self.means, self.values = zip(*(pair for pair in pairs if pair[1].is_floating_point()), strict=True)
        self.counts = [pair for pair in pairs if not pair[1].is_floating_point()]
        self.steps = 0

    def forward(self) -> Tensor:
        """The loss of the batch, and its gradients."""
        images, pos, mask, self.targets.poses = self.crops.fields
        total = torch.stack(list(self.stage.loss(images, pos, mask).values())).sum()
        total.backward()
        return total.detach()

    def record(self) -> None:
        """Record :meth:`forward`, and forget what the batch statistics have seen meanwhile."""
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.stage.zero_grad(set_to_none=True)
                self.forward()
        torch.cuda.current_stream().wait_stream(side)
        self.stage.zero_grad(set_to_none=True)  # so that the recorded step writes gradients, instead of adding to them
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):  # other threads load crops
            self.loss = self.forward()
        self.model.load_state_dict(before)

    def step(self, share: float) -> None:
        """One update, after such a share of the time."""
        rate, momentum = cycle(self.config.joint.lr, share)
        for group in self.optimizer.param_groups:
            group["lr"], group["betas"] = rate, (momentum, 0.999)
        if self.graph is None:
            self.stage.zero_grad(set_to_none=True)
            self.loss = self.forward()
        else:
            self.graph.replay()
        torch.nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimizer.step()
        decay = min(self.config.average_decay, (1 + self.steps) / (10 + self.steps))  # as training.averaging
        with torch.no_grad():
            torch._foreach_lerp_(self.means, self.values, 1 - decay)
        self.steps += 1

    @torch.no_grad()
    def errors(self, images: Tensor, truth: Tensor, scale: Tensor) -> dict[str, float]:
        """NME in percent of the heatmaps and of each step, by the average."""
        seen = self.average.backbone.forward_stacks(images)[-1]
        _, out = self.average.refine(seen)
        found = {"heatmaps": seen.landmarks} | {f"step{number}": pos for number, pos in enumerate(out.steps, 1)}
        distance = {name: (pos - truth).norm(dim=-1).mean(dim=1).double().cpu() for name, pos in found.items()}
        return {name: round(100 * (each / scale).mean().item(), 3) for name, each in distance.items()}


def cycle(peak: float, share: float) -> tuple[float, float]:
    """Learning rate and first beta after a share of the time: the cycle of ``torch.optim.lr_scheduler.OneCycleLR``."""

    def bent(start: float, end: float, part: float) -> float:
        return end + (start - end) / 2 * (math.cos(math.pi * part) + 1)

    if share < WARM_UP:
        return bent(peak / 25, peak, share / WARM_UP), bent(0.95, 0.85, share / WARM_UP)
    part = (share - WARM_UP) / (1 - WARM_UP)
    return bent(peak, peak / 25e4, part), bent(0.85, 0.95, part)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    own = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    own.add_argument("configs", nargs="+", help="configurations, by name or file; the first gives the crops")
    own.add_argument("--annotations", type=Path, required=True)
    own.add_argument("--out", type=Path, required=True)
    own.add_argument("--minutes", type=float, required=True)
    own.add_argument("--workers", type=int, default=12)
    own.add_argument("--batch-size", type=int, help="default: that of the first configuration")
    return own.parse_args(arguments)


def read_config(name: str, options: argparse.Namespace) -> TrainConfig:
    """The settings of a configuration."""
    words = ["train", "--config", name, "--annotations", str(options.annotations), "--out", str(options.out)]
    if options.batch_size is not None:
        words += ["--batch_size", str(options.batch_size)]
    program = parser()
    given = vars(program.instantiate(program.parse_args([*words, "--workers", str(options.workers)]))["train"])
    return TrainConfig(**{key: value for key, value in given.items() if key != "config"})


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.benchmark_limit = 4  # trying all ways to compute a convolution takes longer than it saves
    configs = {Path(name).stem: read_config(name, options) for name in options.configs}
    first = next(iter(configs.values()))
    model = first_model(first)[0]
    data = FaceDataModule(first, model.config)
    crops = Crops(first, data, model.layout, model.config.focal_ratio, device)
    targets = GraphTargets(model.layout, device)
    learners = [Learner(name, config, crops, targets, device) for name, config in configs.items()]
    held: Any = Batch.from_data_list(list(data.validation))
    truth = held.pos.view(-1, len(model.layout), 2)
    scale = torch.from_numpy(normaliser(truth.double().numpy(), model.layout.ids, model.layout.norm))
    images, truth = held.image.to(device).contiguous(memory_format=torch.channels_last), truth.to(device)
    start, saved = time.monotonic(), 0
    while (share := (time.monotonic() - start) / (60 * options.minutes)) < 1:
        crops.load()
        for learner in learners:
            learner.step(share)
        if share >= saved / SAVES:
            saved += 1
            report(learners, share, crops.epoch, options.out, images, truth, scale)
    report(learners, 1.0, crops.epoch, options.out, images, truth, scale)


def report(learners: Sequence[Learner], share: float, epoch: int, out: Path, *held: Tensor) -> None:
    """Print the errors on the validation faces, and write the averages."""
    for learner in learners:
        print(
            f"{share:.2f} epoch {epoch} {learner.name}: loss {learner.loss.item():.1f} {learner.errors(*held)}",
            flush=True,
        )
        for mean, value in learner.counts:
            mean.copy_(value)
        average = copy.deepcopy(learner.average).cpu()
        average.save(out / f"{learner.name}-{learner.steps}.safetensors", half=True)


if __name__ == "__main__":
    main()
