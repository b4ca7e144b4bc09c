"""Time and memory of graph attention on the complete graph: LandmarkAttention against PyG's layers.

    python benchmarks/attention.py                                # the whole table, a few minutes
    python benchmarks/attention.py --quick --landmarks 98 --batch 16

Forward and backward of one layer with 256 channels and 4 heads. All layers send the same messages over the same
edges, those of the complete graph without self-loops; PyG's get their batched edge list, built outside of the timing.
What they do beyond that is switched off (the skip of TransformerConv, the self-loops of GATv2Conv).

Every cell of the table is a process of its own, so that its memory is its own: peak resident memory during a forward
and backward pass minus resident memory before it (CUDA: the allocator's). Medians of several passes. The resident
memory of the smallest cells is uncertain by about 1 MB.
"""

import argparse
import contextlib
import ctypes
import gc
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANNELS = 256
HEADS = 4
LAYERS = ("LandmarkAttention", "TransformerConv", "GATv2Conv")
EDGE_TENSORS = 6  # tensors [E, CHANNELS] that PyG's layers hold at their peak, as measured at B = 16, L = 98
FITS = 0.7  # share of the available memory that a cell may take


# ---- one cell: runs in a process of its own


def edge_list_bytes(landmarks: int, batch: int) -> int:
    """Memory that a layer on the edge list will need, about."""
    return batch * landmarks * (landmarks - 1) * CHANNELS * 4 * EDGE_TENSORS


def available_bytes(device: str) -> int:
    """Memory that a new process may still take."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(torch.device(device))[0]
    bounds = []
    meminfo, group = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
    if meminfo.exists():
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
        bounds.append(int(fields["MemAvailable"].split()[0]) * 1024)
    elif hasattr(os, "sysconf"):
        bounds.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            bounds.append(int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no control group bounds this process
    return min(bounds, default=sys.maxsize)


def make_pass(layer: str, landmarks: int, batch: int, device: str) -> Callable[[], Any]:
    """A function that runs forward and backward once and returns the output and the gradient of the input."""
    import torch
    from torch_geometric.nn import GATv2Conv, TransformerConv

    from pyspiga_geo.graph import batch_edges, complete_edges
    from pyspiga_geo.nn import LandmarkAttention

    torch.manual_seed(0)
    x, gradient = torch.randn(2, batch, landmarks, CHANNELS, device=device)
    if layer == "LandmarkAttention":
        conv: torch.nn.Module = LandmarkAttention(CHANNELS, CHANNELS, heads=HEADS)
        inputs = [x.requires_grad_()]
    else:
        if layer == "TransformerConv":
            conv = TransformerConv(CHANNELS, CHANNELS // HEADS, heads=HEADS, root_weight=False)
        else:
            conv = GATv2Conv(CHANNELS, CHANNELS // HEADS, heads=HEADS, add_self_loops=False)
        x, gradient = x.flatten(0, 1), gradient.flatten(0, 1)
        inputs = [x.requires_grad_(), batch_edges(complete_edges(landmarks, device), landmarks, batch)]
    conv = conv.to(device)

    def forward_backward() -> Any:
        out = conv(*inputs)
        out.backward(gradient)
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        result = out.detach(), x.grad
        conv.zero_grad(set_to_none=True)  # nothing stays: the next pass must ask for all of its memory
        x.grad = None
        return result

    return forward_backward


def resident_bytes(field: str) -> int:
    """`VmRSS` (now) or `VmHWM` (peak) of this process; elsewhere than on Linux the peak stands for both."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith(field + ":"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def reset_peak() -> bool:
    """Start a new `VmHWM`; False where that is not allowed."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def give_memory_back() -> None:
    """Return freed memory to the system, so that the next pass must ask for it again."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def peak_memory(run: Callable[[], Any], device: str) -> int:
    """Bytes that one pass needs at its peak on top of what was there before it."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    give_memory_back()
    reset_peak()
    before = resident_bytes("VmRSS")
    run()
    return max(resident_bytes("VmHWM") - before, 0)


def elapsed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(layer: str, landmarks: int, batch: int, device: str, threads: int | None, seconds: float) -> dict[str, Any]:
    """Time [s] and memory [bytes] of a cell; for one that does not fit, the bytes it would need."""
    needed = edge_list_bytes(landmarks, batch)
    if layer != "LandmarkAttention" and needed > FITS * available_bytes(device):
        return {"needs_bytes": needed}
    import torch

    if threads:
        torch.set_num_threads(threads)
    make_pass(layer, 4, 1, device)()  # whatever libraries set up at their first call is not the layer's
    run = make_pass(layer, landmarks, batch, device)
    # Memory first: where its peak cannot be reset, only the first pass of this size tells.
    memory = [peak_memory(run, device)]
    if device.startswith("cuda") or reset_peak():
        memory += [peak_memory(run, device) for _ in range(2)]
    once = elapsed(run)
    passes = min(max(round(seconds / once), 3), 1000)
    times = [elapsed(run) for _ in range(passes)]
    return {
        "seconds": statistics.median(times),
        "bytes": statistics.median(memory),
        "passes": passes,
        "threads": torch.get_num_threads(),
    }


# ---- the table


def run_cell(cell: dict[str, Any]) -> dict[str, Any]:
    """Measure a cell in a fresh process."""
    environment = dict(os.environ)
    if cell["threads"]:
        environment["OMP_NUM_THREADS"] = str(cell["threads"])
    done = subprocess.run(
        [sys.executable, __file__, "--cell", json.dumps(cell)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode < 0:  # most likely for its memory: the other cells can still be measured
        return {"killed": signal.Signals(-done.returncode).name}
    if done.returncode:
        sys.exit(f"{cell['layer']} with L={cell['landmarks']}, B={cell['batch']} failed:\n{done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


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
    def at_least(bound: int) -> Callable[[str], int]:
        def number(text: str) -> int:
            if int(text) < bound:
                raise argparse.ArgumentTypeError(f"must be at least {bound}, got {text}")
            return int(text)

        return number

    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (default: %(default)s)")
    parser.add_argument("--threads", type=at_least(1), help="threads on the CPU (default: torch's own choice)")
    parser.add_argument("--landmarks", type=at_least(2), nargs="+", metavar="L", default=[68, 98, 478])
    parser.add_argument("--batch", type=at_least(1), nargs="+", metavar="B", default=[1, 16])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file as well")
    parser.add_argument("--quick", action="store_true", help="fewer passes, for a first impression")
    parser.add_argument("--cell", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json: there is no folder {options.json.parent}")
    if not options.device.startswith(("cpu", "cuda")):
        parser.error(f"--device: cpu or cuda, got {options.device}")
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
        results.append({**cell, **run_cell(cell)})
    threads = next((f", {r['threads']} threads" for r in results if "seconds" in r), "")
    print(f"One graph attention layer, complete graph, {CHANNELS} channels, {HEADS} heads; {options.device}{threads}\n")
    print(table(results))
    if options.json:
        settings = {"channels": CHANNELS, "heads": HEADS, "platform": platform.platform()}
        options.json.write_text(json.dumps({"settings": settings, "cells": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
