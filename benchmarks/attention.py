"""Time and memory of graph attention on the complete graph: LandmarkAttention against PyG's layers and bare attention.

    python benchmarks/attention.py                                # the whole table, a few minutes
    python benchmarks/attention.py --quick --landmarks 98 --batch 16

Forward and backward of one layer with 256 channels and 4 heads. All layers send the same messages over the same
edges, those of the complete graph without self-loops; PyG's get their batched edge list, built outside of the timing.
What they do beyond that is switched off (the skip of TransformerConv, the self-loops of GATv2Conv). The bare attention
is what cannot be undercut: maps to query, key and value and torch's own scaled_dot_product_attention, self included.

Every cell of the table is a process of its own, so that its memory is its own (measuring.py). Medians of several
passes. The resident memory of the smallest cells is uncertain by about 1 MB.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from measuring import (
    add_common_arguments,
    at_least,
    available_bytes,
    check_device,
    measure_pass,
    run_cell,
    set_threads,
)
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, TransformerConv

from pyspiga_geo.graph import batch_edges, complete_edges
from pyspiga_geo.nn import LandmarkAttention

CHANNELS = 256
HEADS = 4
LAYERS = ("LandmarkAttention", "bare attention", "TransformerConv", "GATv2Conv")
ON_EDGES = LAYERS[2:]
EDGE_TENSORS = 6  # tensors [E, CHANNELS] that PyG's layers hold at their peak, as measured at B = 16, L = 98
FITS = 0.7  # share of the available memory that a cell may take


class BareAttention(nn.Module):
    """Query, key and value, and torch's attention between them: no graph, no mask, self included."""

    def __init__(self) -> None:
        super().__init__()
        self.lin_query, self.lin_key, self.lin_value = (nn.Linear(CHANNELS, CHANNELS) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            lin(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for lin in (self.lin_query, self.lin_key, self.lin_value)
        )
        out = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return out.transpose(1, 2).flatten(-2)


# ---- one cell: runs in a process of its own


def edge_list_bytes(landmarks: int, batch: int) -> int:
    """Memory that a layer on the edge list will need, about."""
    return batch * landmarks * (landmarks - 1) * CHANNELS * 4 * EDGE_TENSORS


def make_pass(layer: str, landmarks: int, batch: int, device: str) -> Callable[[], Any]:
    """A function that runs forward and backward once and returns the output and the gradient of the input."""
    torch.manual_seed(0)
    x, gradient = torch.randn(2, batch, landmarks, CHANNELS, device=device)
    makers: dict[str, Callable[[], nn.Module]] = {
        "LandmarkAttention": lambda: LandmarkAttention(CHANNELS, CHANNELS, heads=HEADS),
        "bare attention": BareAttention,
        "TransformerConv": lambda: TransformerConv(CHANNELS, CHANNELS // HEADS, HEADS, root_weight=False),
        "GATv2Conv": lambda: GATv2Conv(CHANNELS, CHANNELS // HEADS, HEADS, add_self_loops=False),
    }
    conv = makers[layer]().to(device)
    inputs = []
    if layer in ON_EDGES:
        x, gradient = x.flatten(0, 1), gradient.flatten(0, 1)
        inputs.append(batch_edges(complete_edges(landmarks, device), landmarks, batch))
    x.requires_grad_()

    def forward_backward() -> Any:
        out = conv(x, *inputs)
        out.backward(gradient)
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        result = out.detach(), x.grad
        conv.zero_grad(set_to_none=True)  # nothing stays: the next pass must ask for all of its memory
        x.grad = None
        return result

    return forward_backward


def measure(layer: str, landmarks: int, batch: int, device: str, threads: int | None, seconds: float) -> dict[str, Any]:
    """Time [s] and memory [bytes] of a cell; for one that does not fit, the bytes it would need."""
    needed = edge_list_bytes(landmarks, batch)
    if layer in ON_EDGES and needed > FITS * available_bytes(device):
        return {"needs_bytes": needed}
    threads = set_threads(threads)
    make_pass(layer, 4, 1, device)()  # whatever libraries set up at their first call is not the layer's
    return {**measure_pass(make_pass(layer, landmarks, batch, device), device, seconds), "threads": threads}


# ---- the table


def row(result: dict[str, Any], ours: dict[str, Any]) -> str:
    """Time, memory and both ratios of a layer."""
    if "needs_bytes" in result:
        return f"needs ~{result['needs_bytes'] / 1e9:.0f} GB"
    if "seconds" not in result:
        return f"killed ({result['killed']})"
    text = f"{1e3 * result['seconds']:10.2f} ms {result['bytes'] / 1e6:10.1f} MB"
    if result is ours or "seconds" not in ours:
        return text
    faster, share = result["seconds"] / ours["seconds"], ours["bytes"] / max(result["bytes"], 1)
    return f"{text} {faster:10.1f} x {100 * share:10.1f} %"


def table(results: list[dict[str, Any]]) -> str:
    lines = [
        "                              forward+        peak   LandmarkAttention is",
        "  L   B  layer                backward      memory     faster by   takes of its memory",
    ]
    for result in results:
        size = (result["landmarks"], result["batch"])
        ours = next(r for r in results if (r["landmarks"], r["batch"]) == size and r["layer"] == LAYERS[0])
        label = f"{size[0]:3} {size[1]:3}" if result is ours else " " * 7
        lines.append(f"{label}  {result['layer']:17} {row(result, ours)}")
    return "\n".join(lines)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--landmarks", type=at_least(2), nargs="+", metavar="L", default=[68, 98, 478])
    parser.add_argument("--batch", type=at_least(1), nargs="+", metavar="B", default=[1, 16])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file as well")
    add_common_arguments(parser)
    options = parser.parse_args(arguments)
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json: there is no folder {options.json.parent}")
    check_device(parser, options.device)
    return options


def main() -> None:
    options = parse()
    if options.cell:
        print(json.dumps(measure(**options.cell)))
        return
    common = {"device": options.device, "threads": options.threads, "seconds": 0.3 if options.quick else 4.0}
    cells = [
        {"layer": layer, "landmarks": landmarks, "batch": batch, **common}
        for landmarks in options.landmarks
        for batch in options.batch
        for layer in LAYERS
    ]
    results = []
    for number, cell in enumerate(cells, 1):
        name = f"L={cell['landmarks']} B={cell['batch']} {cell['layer']}"
        print(f"[{number}/{len(cells)}] {name}", file=sys.stderr, flush=True)
        results.append({**cell, **run_cell(__file__, cell)})
    threads = next((f", {r['threads']} threads" for r in results if "seconds" in r), "")
    print(f"One graph attention layer, complete graph, {CHANNELS} channels, {HEADS} heads; {options.device}{threads}\n")
    print(table(results))
    if options.json:
        settings = {"channels": CHANNELS, "heads": HEADS, "platform": platform.platform()}
        options.json.write_text(json.dumps({"settings": settings, "cells": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
