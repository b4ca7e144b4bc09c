"""All trainings that are still to do, several at once, each in a process of its own."""

import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

from ablation.cells import Cell
from ablation.features import Features
from ablation.results import Settings
from ablation.train import run_cell


def train_missing(
    tasks: dict[tuple[Cell, int], Path], settings: Settings, features: Features, weights: str, jobs: int
) -> None:
    """Train the cells, each from its seed, whose result files are not there; print each that is done."""
    missing = {task: path for task, path in tasks.items() if not path.exists()}
    print(f"{len(tasks) - len(missing)} of {len(tasks)} trainings are there, {len(missing)} to do", flush=True)
    if not missing:
        return
    # The messages of PyG's layers are large, and glibc would give their memory back to the system after each step.
    os.environ |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1"}
    threads = max((os.cpu_count() or 1) // jobs, 1)
    start = time.perf_counter()
    with ProcessPoolExecutor(jobs, get_context("spawn"), _leave_with_parent) as pool:
        running = {
            pool.submit(run_cell, path, cell, seed, settings, features, weights, threads): (cell, seed)
            for (cell, seed), path in missing.items()
        }
        try:
            for number, done in enumerate(as_completed(running), start=1):
                done.result()
                cell, seed = running[done]
                seconds = time.perf_counter() - start
                print(f"[{number}/{len(missing)}, {seconds:.0f} s] {cell.name}, seed {seed}", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _leave_with_parent() -> None:
    """End this process when the one that started it is gone, however that was ended."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
