"""Time and memory of a function, in a process of its own: what the benchmarks share.

Memory is peak resident memory during a pass minus resident memory before it (CUDA: the allocator's), which is uncertain
by about 1 MB; time is the median of several passes.
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

import torch


def available_bytes(device: str) -> int:
    """Memory that a new process may still take."""
    if device.startswith("cuda"):
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
    """Seconds; on the CPU with one thread those of the processor, so that other programs count little."""
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_initialized()
    clock = time.process_time if alone else time.perf_counter
    start = clock()
    run()
    return clock() - start


def measure_time(run: Callable[[], Any], seconds: float) -> dict[str, Any]:
    """Median time [s] of as many passes as take about so many seconds, three or more."""
    passes = min(max(round(seconds / elapsed(run)), 3), 1000)
    return {"seconds": statistics.median(elapsed(run) for _ in range(passes)), "passes": passes}


def measure_pass(run: Callable[[], Any], device: str, seconds: float) -> dict[str, Any]:
    """Time [s] and memory [bytes] of a pass."""
    # Memory first: where its peak cannot be reset, only the first pass of this size tells.
    memory = [peak_memory(run, device)]
    if device.startswith("cuda") or reset_peak():
        memory += [peak_memory(run, device) for _ in range(2)]
    return {**measure_time(run, seconds), "bytes": statistics.median(memory)}


def set_threads(threads: int | None) -> int:
    """Have torch compute with so many threads on the CPU, None: as many as it likes; return how many."""
    if threads:
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def run_cell(script: str, cell: dict[str, Any]) -> dict[str, Any]:
    """What ``script --cell CELL`` prints on its last line, run in a fresh process."""
    environment = dict(os.environ)
    if cell["threads"]:
        environment["OMP_NUM_THREADS"] = str(cell["threads"])
    done = subprocess.run(
        [sys.executable, script, "--cell", json.dumps(cell)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode < 0:  # most likely for its memory: the other cells can still be measured
        return {"killed": signal.Signals(-done.returncode).name}
    if done.returncode:
        sys.exit(f"{cell} failed:\n{done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def at_least(bound: int) -> Callable[[str], int]:
    """Type of an argument that is a whole number, this or more."""

    def number(text: str) -> int:
        if int(text) < bound:
            raise argparse.ArgumentTypeError(f"must be at least {bound}, got {text}")
        return int(text)

    return number


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (default: %(default)s)")
    parser.add_argument("--threads", type=at_least(1), help="threads on the CPU (default: torch's own choice)")
    parser.add_argument("--quick", action="store_true", help="fewer passes, for a first impression")
    parser.add_argument("--cell", type=json.loads, help=argparse.SUPPRESS)


def check_device(parser: argparse.ArgumentParser, device: str) -> None:
    if not device.startswith(("cpu", "cuda")):
        parser.error(f"--device: cpu or cuda, got {device}")
