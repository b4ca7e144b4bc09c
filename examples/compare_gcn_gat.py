"""Does attention help? Cascades that differ only in their graph operator, or in one other thing, on a frozen backbone.

    python examples/compare_gcn_gat.py --quick --out compare                 # drawn faces, under four minutes
    python examples/compare_gcn_gat.py --out compare                         # drawn faces, all cells
    python examples/compare_gcn_gat.py --faces 300w --out compare            # annotated faces: 300w/train.json
    python examples/compare_gcn_gat.py --faces 300w --test --out compare     # measured on 300w/test.json

The backbone is that of the compact model. What it sees of the faces is computed once and kept in OUT/features; every
cell of the table is trained from several seeds, and each finished training is kept in OUT/cells: a run that was stopped
goes on where it was, and where one cell is to be known better than others, a run with more --seeds of these --cells can
come first. Then come the table (on the screen and as table.csv, with 95 % confidence intervals over faces and seeds and
paired tests over faces against the same cell with attention and with no messages) and the figures.
"""

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

from ablation.cells import CELLS, QUICK_CELLS, Cell, cell_by_name
from ablation.features import Features, annotated_faces, drawn_faces, load
from ablation.figures import save_figures
from ablation.table import as_text, conditions, make_rows, write_csv
from ablation.train import Settings, read_results, result_path, run_cell

from pyspiga_geo import SPIGA

MODEL = "compact"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for features, cells, table, figures")
    parser.add_argument("--quick", action="store_true", help="few cells, small and briefly trained")
    parser.add_argument("--faces", type=Path, metavar="DIR", help="folder with train.json and its pictures")
    parser.add_argument("--test", action="store_true", help="measure on DIR/test.json")
    parser.add_argument("--drawn", type=int, metavar="N", help="drawn faces to train on, without --faces")
    parser.add_argument("--cells", nargs="+", metavar="NAME", help="only these cells, by their names")
    parser.add_argument("--seeds", type=int, default=3, help="least trainings a cell (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="passes over the training faces")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 8), help="cells at once")
    options = parser.parse_args(arguments)
    if options.test and not options.faces:
        parser.error("--test needs --faces")
    for name in ("drawn", "seeds", "epochs", "jobs"):
        if (value := getattr(options, name)) is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    try:
        chosen = [cell_by_name(name) for name in options.cells or ()]
    except ValueError as error:
        parser.error(f"--cells: {error}")
    options.cells = chosen or (QUICK_CELLS if options.quick else CELLS)
    return options


def _leave_with_parent() -> None:
    """End this process when the one that started it is gone, however that was ended."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def train_missing(tasks: dict[tuple[Cell, int], Path], jobs: int, *common: object) -> None:
    """Train the cells whose results are not there, several at once, each in a process of its own."""
    missing = {task: path for task, path in tasks.items() if not path.exists()}
    print(
        f"{len(tasks) - len(missing)} of {len(tasks)} trainings are there, {len(missing)} to do", flush=True
    )
    if not missing:
        return
    # The messages of PyG's layers are large, and glibc would give their memory back to the system after each step.
    os.environ |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1"}
    threads = max((os.cpu_count() or 1) // jobs, 1)
    start = time.perf_counter()
    with ProcessPoolExecutor(jobs, get_context("spawn"), _leave_with_parent) as pool:
        running = {
            pool.submit(run_cell, path, cell, seed, *common, threads): f"{cell.name}, seed {seed}"
            for (cell, seed), path in missing.items()
        }
        try:
            for number, done in enumerate(as_completed(running), start=1):
                done.result()
                seconds = time.perf_counter() - start
                print(f"[{number}/{len(missing)}, {seconds:.0f} s] {running[done]}", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    quick = options.quick
    model = SPIGA.from_pretrained(MODEL)
    if options.faces:
        source = annotated_faces(model, options.faces, options.test)
    else:
        training = options.drawn or (192 if quick else 1200)
        source = drawn_faces(model, training, max(training // 2, 8))
    settings = Settings(
        epochs=options.epochs or (8 if quick else 6),
        batch_size=16,
        channels=32 if quick else 64,
    )
    features = Features(model, source, copies=2 if quick else 3, folder=options.out / "features")
    tasks = {
        (cell, seed): result_path(options.out / "cells", cell, seed, settings, features.key)
        for seed in range(options.seeds)
        for cell in options.cells
    }
    training_files, evaluation_files = features.paths()
    train_missing(tasks, options.jobs, settings, training_files, evaluation_files, MODEL)

    seen = {name: load(file) for name, file in evaluation_files.items()}
    groups = conditions(seen["clear"], seen["occluded"], model)
    results = {
        cell: read_results(options.out / "cells", cell, settings, features.key) for cell in options.cells
    }
    rows = make_rows(results, groups)
    write_csv(options.out / "table.csv", rows)
    print(as_text(rows))
    pictures = save_figures(options.out, rows)
    print(f"\n{options.out / 'table.csv'}, {', '.join(str(path) for path in pictures)}")


if __name__ == "__main__":
    main()
