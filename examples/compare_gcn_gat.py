"""Does attention help? Cascades that differ only in their graph operator, or in one other thing, on a frozen backbone.

    python examples/compare_gcn_gat.py --quick --out compare                 # synthetic faces, under four minutes
    python examples/compare_gcn_gat.py --out compare                         # synthetic faces, all cells
    python examples/compare_gcn_gat.py --faces 300w --out compare            # annotated faces: 300w/train.json
    python examples/compare_gcn_gat.py --faces 300w --test --out compare     # measured on 300w/test.json
    python examples/compare_gcn_gat.py --grid --faces 300w --test --out compare   # other cells, of the shipped model
    python examples/compare_gcn_gat.py --quick --out compare --cells attention none my_conv.py:MaxConv

The backbone is that of the compact model. What it sees of the faces is computed once and kept in OUT/features; every
cell of the table is trained from several seeds, and each finished training is kept in OUT/cells: a run that was stopped
goes on where it was, and where one cell is to be known better than others, a run with more --seeds of these --cells can
come first. On each finished cascade a head learns the uncertainty of its landmarks, with the same operator. Then come
the tables of errors and of the likelihood of the truth (on the screen and as table.csv, with 95 % confidence intervals
over faces and seeds and paired tests over faces against the same cell with attention and with no messages) and the
figures.
my_conv.py:MaxConv is an operator of your own: the function or class MaxConv in the file my_conv.py, called with the
numbers of channels in and out. "my_conv.py:MaxConv: 1 step" puts it into another cell.
The parts are in benchmarks/ablation: cells.py lists the cells, cascades.py builds them, train.py trains them.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from ablation.cells import CELLS, GRID, QUICK_CELLS, cell_by_name
from ablation.features import Features, annotated_faces, synthetic_faces
from ablation.figures import save_figures
from ablation.jobs import train_missing
from ablation.own import load_conv
from ablation.results import Settings, read_results, result_path
from ablation.table import as_text, conditions, make_rows, write_csv

from pyspiga_geo import SPIGA

MODEL = "compact"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for features, cells, table, figures")
    parser.add_argument("--quick", action="store_true", help="few cells, small and briefly trained")
    parser.add_argument("--faces", type=Path, metavar="DIR", help="folder with train.json and its pictures")
    parser.add_argument("--test", action="store_true", help="measure on DIR/test.json")
    parser.add_argument("--drawn", type=int, metavar="N", help="synthetic faces to train on, without --faces")
    parser.add_argument("--grid", action="store_true", help="attention, gcn and none with what the shipped models have")
    parser.add_argument("--cells", nargs="+", metavar="NAME", help="only these cells, by their names")
    parser.add_argument("--seeds", type=int, default=3, help="least trainings per cell (default: %(default)s)")
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
        for cell in chosen:
            load_conv(cell.conv)  # whatever is wrong with it shows now
    except ValueError as error:
        parser.error(f"--cells: {error}")
    options.cells = chosen or (GRID if options.grid else QUICK_CELLS if options.quick else CELLS)
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    quick, folder = options.quick, options.out / "cells"
    model = SPIGA.from_pretrained(MODEL)
    if options.faces:
        source = annotated_faces(model, options.faces, options.test)
    else:
        training = options.drawn or (192 if quick else 1200)
        source = synthetic_faces(model, training, max(training // 2, 8))
    settings = Settings(epochs=options.epochs or (8 if quick else 6), batch_size=16, channels=32 if quick else 64)
    features = Features.compute(model, source, 2 if quick else 3, options.out / "features")
    tasks = {
        (cell, seed): result_path(folder, cell, seed, settings, features.key)
        for seed in range(options.seeds)
        for cell in options.cells
    }
    train_missing(tasks, settings, features, MODEL, options.jobs)

    results = {cell: read_results(folder, cell, settings, features.key) for cell in options.cells}
    rows = make_rows(results, conditions(**features.evaluation(), model=model))
    write_csv(options.out / "table.csv", rows)
    print(as_text(rows))
    pictures = save_figures(options.out, rows)
    print(f"\n{options.out / 'table.csv'}, {', '.join(str(path) for path in pictures)}")


if __name__ == "__main__":
    main()
