"""How a cascade step grows with the number of landmarks, and when edges are quicker than a mask.

    python benchmarks/cascade.py --out bench                     # both tables and cascade.png, about ten minutes
    python benchmarks/cascade.py --quick --landmarks 68 478 --static 478x1

Growth: forward and backward of one step of `SPIGACascade` with the sizes of the paper, on the complete graph and with
edges from the 8 nearest landmarks by position, and of `LandmarkAttention` alone on the complete graph. The step has
`position="none"`: the usual `"ordered"` has L (L - 1) inputs of its own in its first linear map, whatever the graph.

Few edges: `LandmarkAttention` on static graphs [B, L, C] with random edges, by a mask over all pairs and by the edges.
The pairs per edge from which the edges are quicker are what `DENSE_PAIRS_PER_EDGE` should be. One graph of 2,000 nodes
and 12,000 edges has its memory measured too.

Every line is a process of its own (measuring.py). Where other programs are running, `--threads 1` is steadier.
"""

import argparse
import json
import math
import platform
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from cascade_report import growth_table, save_plot, static_table
from measuring import (
    add_common_arguments,
    at_least,
    check_device,
    measure_pass,
    measure_time,
    run_cell,
    set_threads,
)
from torch import Tensor

from pyspiga_geo.nn import LandmarkAttention, SPIGACascade, landmark_attention

CHANNELS, HEADS, NEIGHBOURS = 256, 4, 8
GRAPHS = ("complete", "8 nearest", "attention alone")
PAIRS_PER_EDGE = (12, 24, 48, 96, 192)
WAYS = {"mask": math.inf, "edges": 0}
"""Values of DENSE_PAIRS_PER_EDGE with which a static graph always goes this way."""

STATIC = ["196x1", "478x1", "1000x1", "2000x1", "196x8", "478x8"]
FEW = {"landmarks": 2000, "edges": 12000, "batch": 1}


# ---- what is measured


def nearest_edges(pos: Tensor, neighbours: int) -> Tensor:
    """Edges [2, B L k] over the B L nodes, to each from the k nearest of its own item."""
    batch_size, landmarks, _ = pos.shape
    near = torch.cdist(pos, pos).topk(neighbours + 1, largest=False).indices[..., 1:]
    source = near + landmarks * torch.arange(batch_size, device=pos.device)[:, None, None]
    target = torch.arange(batch_size * landmarks, device=pos.device).repeat_interleave(neighbours)
    return torch.stack([source.flatten(), target])


def random_edges(landmarks: int, number: int, device: str) -> Tensor:
    """Edges [2, E] between random pairs, no pair twice and no self-loop."""
    pairs = torch.randperm(landmarks * (landmarks - 1), device=device)[:number]
    target, other = pairs // (landmarks - 1), pairs % (landmarks - 1)
    return torch.stack([other + (other >= target), target])


def backward_of(forward: Callable[[], Tensor], leaves: Iterable[Tensor], device: str) -> Callable[[], None]:
    """Forward and backward; no gradient stays, so that the next pass must ask for all of its memory."""
    leaves, gradient = list(leaves), torch.randn_like(forward())

    def both() -> None:
        forward().backward(gradient)
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        for leaf in leaves:
            leaf.grad = None

    return both


def growth_pass(graph: str, landmarks: int, batch: int, device: str) -> Callable[[], None]:
    """One step of a cascade, or one attention layer."""
    torch.manual_seed(0)
    if graph == "attention alone":
        attention = LandmarkAttention(CHANNELS, CHANNELS, HEADS).to(device)
        x = torch.randn(batch, landmarks, CHANNELS, device=device, requires_grad=True)
        return backward_of(lambda: attention(x), [x, *attention.parameters()], device)
    cascade = SPIGACascade(landmarks, CHANNELS, 1, heads=HEADS, position="none").to(device)
    feature_map = torch.randn(batch, CHANNELS, 64, 64, device=device, requires_grad=True)
    pos, edges = torch.rand(batch, landmarks, 2, device=device), None
    if graph == "8 nearest":
        pos, edges = pos.flatten(0, 1), nearest_edges(pos, NEIGHBOURS)
    leaves = [feature_map, *cascade.parameters()]
    return backward_of(lambda: cascade(pos, feature_map, edges).pos, leaves, device)


def static_pass(way: str, landmarks: int, edges: int, batch: int, device: str) -> Callable[[], None]:
    """One attention layer on a static graph, by a mask or by its edges."""
    torch.manual_seed(0)
    attention = LandmarkAttention(CHANNELS, CHANNELS, HEADS).to(device)
    x = torch.randn(batch, landmarks, CHANNELS, device=device, requires_grad=True)
    edge_index = random_edges(landmarks, edges, device)

    def forward() -> Tensor:
        landmark_attention.DENSE_PAIRS_PER_EDGE = WAYS[way]
        return attention(x, edge_index)

    return backward_of(forward, [x, *attention.parameters()], device)


def measure(kind: str, threads: int | None, seconds: float, **cell: Any) -> dict[str, Any]:
    """Time [s] and memory [bytes] of a pass; of kind "times" the times by mask and by edges at PAIRS_PER_EDGE."""
    threads = set_threads(threads)
    if kind == "times":
        edges = [cell["landmarks"] ** 2 // ratio for ratio in PAIRS_PER_EDGE]
        found: dict[str, Any] = {
            way: [measure_time(static_pass(way, edges=number, **cell), seconds)["seconds"] for number in edges]
            for way in WAYS
        }
        return {**found, "pairs_per_edge": PAIRS_PER_EDGE, "threads": threads}
    make = growth_pass if kind == "growth" else static_pass
    small = {"landmarks": 10} if kind == "growth" else {"landmarks": 10, "edges": 20}
    make(**{**cell, **small})()  # what libraries set up at their first call is not the layer's
    return {**measure_pass(make(**cell), cell["device"], seconds), "threads": threads}


# ---- all of it


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def size(text: str) -> tuple[int, int]:
        landmarks, _, batch = text.partition("x")
        return at_least(20)(landmarks), at_least(1)(batch)

    parser.add_argument("--landmarks", type=at_least(10), nargs="+", metavar="L", default=[68, 98, 196, 478, 1000])
    parser.add_argument("--batch", type=at_least(1), default=1, help="items of a step (default: %(default)s)")
    parser.add_argument(
        "--static", type=size, nargs="*", metavar="LxB", default=[size(text) for text in STATIC],
        help="sizes of the static graphs",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder for cascade.png and cascade.json")
    add_common_arguments(parser)
    options = parser.parse_args(arguments)
    check_device(parser, options.device)
    return options


def main() -> None:
    options = parse()
    if options.cell:
        print(json.dumps(measure(**options.cell)))
        return
    seconds = 0.3 if options.quick else 3.0
    common = {"device": options.device, "threads": options.threads, "seconds": seconds}
    sizes = sorted(options.landmarks)
    cells = [
        {"kind": "growth", "graph": graph, "landmarks": landmarks, "batch": options.batch}
        for graph in GRAPHS
        for landmarks in sizes
    ]
    if options.static:
        cells += [{"kind": "times", "landmarks": size, "batch": batch} for size, batch in options.static]
        cells += [{"kind": "memory", "way": way, **FEW} for way in WAYS]
    for number, cell in enumerate(cells, 1):
        print(f"[{number}/{len(cells)}] {cell}", file=sys.stderr, flush=True)
        cell |= run_cell(__file__, {**cell, **common})
    growth = {graph: [cell for cell in cells if cell.get("graph") == graph] for graph in GRAPHS}
    static = [cell for cell in cells if cell["kind"] == "times"]
    print(f"{options.device}, {cells[0].get('threads')} threads, B = {options.batch}; forward + backward\n")
    print(growth_table(sizes, growth))
    if static:
        print(f"\n{static_table(static, [cell for cell in cells if cell['kind'] == 'memory'])}")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        save_plot(options.out / "cascade.png", sizes, growth, static)
        settings = {"channels": CHANNELS, "heads": HEADS, "platform": platform.platform()}
        text = json.dumps({"settings": settings, "cells": cells}, indent=2)
        (options.out / "cascade.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
