"""What a model, and each of its parts, reaches of the rate of one 3 x 3 convolution of 128 channels on this machine.

    python benchmarks/limits.py                        # plain and optimized, one face in one thread, 32 in two
    python benchmarks/limits.py --onnx compact.onnx    # also in onnxruntime (`pyspiga-geo export compact.onnx`)
    python benchmarks/limits.py --compile              # also compiled, which takes minutes
    python benchmarks/limits.py --bfloat16             # also in bfloat16, for processors that know it

Everything is measured in turns, round after round, and the shortest time of each counts: on a machine that does other
work too, only the ratios of one run say something. With one thread it is the time of the processor that counts.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from measuring import at_least
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pyspiga_geo import SPIGA
from pyspiga_geo.backbones import MultitaskHourglass
from pyspiga_geo.models.trace import CALLS

CHANNELS = 128
"""Channels of the convolution in whose rate all is counted."""


def parts_of(model: SPIGA) -> dict[str, list[nn.Module]]:
    """The modules of each part: those of the backbone, by hourglass parts where it has them, and of the cascade."""
    backbone, steps = model.backbone, model.cascade.steps
    blocks = [block for step in steps for block in step.blocks]
    if isinstance(backbone, MultitaskHourglass):
        stacks = backbone.stacks
        parts = {
            "stem": [backbone.stem],
            "hourglasses": [stack.hourglass for stack in stacks],
            "features": [stack.out for stack in stacks],
            "landmark heads": [stack.landmarks for stack in stacks],
            "pose head": [stacks[-1].core, stacks[-1].pose],
        }
    else:
        children = backbone.named_children()
        parts = {name: list(part) if isinstance(part, nn.ModuleList) else [part] for name, part in children}
    return parts | {
        "windows": [window for step in steps for window in (step.visual, step.own) if window is not None],
        "position": [step.relative for step in steps if step.relative is not None],
        "attention": [block.conv for block in blocks],
        "updates": [block.update for block in blocks],
        "decoders": [step.decoder for step in steps],
    }


def flops_by_part(model: SPIGA, parts: Mapping[str, list[nn.Module]], images: torch.Tensor) -> dict[str, int]:
    """Floating-point operations of each part, and of the whole."""
    counter = FlopCounterMode(display=False)
    with counter:
        model(images)
    counts = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    names = {module: f"{type(model).__name__}.{name}" for name, module in model.named_modules()}
    found = {part: sum(counts.get(names[module], 0) for module in modules) for part, modules in parts.items()}
    return found | {"all": counter.get_total_flops()}


def seconds_by_part(
    run: Callable[[], Any], parts: Mapping[str, list[nn.Module]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Shortest time of each part within a pass."""
    spent: dict[nn.Module, float] = {}
    hooks = []
    for module in (each for modules in parts.values() for each in modules):
        hooks.append(module.register_forward_pre_hook(lambda module, _: spent.update({module: -clock()})))
        hooks.append(module.register_forward_hook(lambda m, *_: spent.update({m: spent[m] + clock()})))
    best = dict.fromkeys(parts, float("inf"))
    for _ in range(rounds):
        spent.clear()
        run()
        for part, modules in parts.items():
            best[part] = min(best[part], sum(spent.get(module, 0.0) for module in modules))
    for hook in hooks:
        hook.remove()
    return best


def shortest(runs: Mapping[str, Callable[[], Any]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Shortest time of each, all in turns; the first round does not count."""
    best = dict.fromkeys(runs, float("inf"))
    for turn in range(rounds + 1):
        for name, run in runs.items():
            start = clock()
            run()
            best[name] = min(best[name], clock() - start) if turn else best[name]
    return best


def ways(model: SPIGA, images: torch.Tensor, options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Each way to run a model, the plain one first."""
    models: dict[str, Any] = {"plain": model}
    for name, dtype in (("", torch.float32), (" bfloat16", torch.bfloat16)):
        if name and not options.bfloat16:
            continue
        models[f"optimized{name}"] = model.optimize(dtype=dtype)
        models[f"traced{name}"] = traced = model.optimize(dtype=dtype, trace=True)
        for _ in range(CALLS + 3):  # until it is recorded, and the recording has settled
            traced(images[:1])
        if options.compile:
            models[f"compiled{name}"] = model.optimize(dtype=dtype, compile=True)
    if options.onnx is not None:
        from pyspiga_geo.inference.onnx_model import OnnxModel

        models["onnxruntime"] = OnnxModel(options.onnx)
    return {name: lambda run=run: run(images) for name, run in models.items()}


def measure(model: SPIGA, batch: int, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Rates [FLOP/s] of the convolution, of each way and of each part of the optimized model."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    size = model.config.image_size
    images = torch.rand(batch, 3, size, size)
    maps = torch.rand(batch, CHANNELS, model.config.map_size, model.config.map_size)
    weight = torch.rand(CHANNELS, CHANNELS, 3, 3)
    with torch.inference_mode():
        flops = flops_by_part(model, parts_of(model), images)
        runs = {"convolution": lambda: torch.conv2d(maps, weight, padding=1)}
        seconds = shortest(runs | ways(model, images, options), options.rounds, clock)
        fast = model.optimize()
        parts = seconds_by_part(lambda: fast(images), parts_of(fast), options.rounds, clock)
    own = 2 * 9 * CHANNELS * weight.size(0) * maps[:, 0].numel()
    return {"batch": batch, "threads": threads, "flops": flops, "own": own, "seconds": seconds, "parts": parts}


def table(cell: Mapping[str, Any]) -> str:
    """Rates and shares; parts by what they lose, the largest loss first."""
    batch, flops, limit = cell["batch"], cell["flops"], cell["own"] / cell["seconds"]["convolution"]
    lines = [f"B = {batch}, {cell['threads']} threads; the convolution: {limit / 1e9:.1f} GFLOP/s"]
    lines += [f"{'':20}{'ms a face':>11}{'MFLOP':>9}{'share of its rate':>19}{'lost ms':>9}"]

    def row(name: str, count: int, seconds: float) -> str:
        lost = (seconds - count / limit) * 1e3 / batch
        share = count / seconds / limit if seconds else 0.0
        return f"{name:20}{seconds * 1e3 / batch:11.2f}{count / 1e6 / batch:9.1f}{share:19.2f}{lost:9.2f}"

    lines += [row(name, flops["all"], cell["seconds"][name]) for name in cell["seconds"] if name != "convolution"]
    loss = {name: seconds - flops[name] / limit for name, seconds in cell["parts"].items()}
    lines += ["  of the optimized:"]
    lines += [row(f"  {name}", flops[name], cell["parts"][name]) for name in sorted(loss, key=loss.__getitem__)[::-1]]
    return "\n".join(lines)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="compact", help="compact, or a weights file (default: %(default)s)")
    parser.add_argument("--cells", nargs="*", default=["1x1", "32x2"], metavar="BxT", help="faces x threads")
    parser.add_argument("--rounds", type=at_least(1), default=20)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--onnx", metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        options.cells = [tuple(map(at_least(1), cell.split("x"))) for cell in options.cells]
        if any(len(cell) != 2 for cell in options.cells):
            raise ValueError
    except (ValueError, argparse.ArgumentTypeError):
        parser.error("--cells: faces x threads, as 1x1 32x2")
    return options


def main() -> None:
    options = parse()
    model = SPIGA.from_pretrained(options.model).requires_grad_(False)  # the counter takes no learned vector
    for batch, threads in options.cells:
        print(table(measure(model, batch, threads, options)), end="\n\n")


if __name__ == "__main__":
    main()
