"""Put measured figures into README and documentation, between marks that name them.

    python benchmarks/fill_pages.py            # writes the pages
    python benchmarks/fill_pages.py --check    # only says which pages are out of date; exits with 1 if any is

The figures are in `docs/numbers/*.json`, each written by the benchmark that its entry "model", "film" or "settings"
belongs to: `model_figures.py`, `films.py --json`, `attention.py --json`. Those of the study are in
`docs/ablation/*.csv`, which `examples/compare_gcn_gat.py` wrote. A mark is an HTML comment:

    <!-- figure compact.nme -->3.09 %<!-- /figure -->

Tables and whole paragraphs have the two marks on lines of their own.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from model_text import Figures, accuracy, model_parts, table, zoo
from study_text import study_parts

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "docs" / "numbers"
MARKED = re.compile(r"(<!-- figure (?P<name>[\w.-]+) -->)(?P<text>.*?)(<!-- /figure -->)", re.DOTALL)


def pages() -> list[Path]:
    """README and every page of the documentation that is written by hand."""
    built = {"_build", "auto_tutorials", "generated"}
    written = (path for path in (ROOT / "docs").rglob("*.md") if not built & set(path.relative_to(ROOT).parts))
    return [ROOT / "README.md", *sorted(written)]


def fill(text: str, parts: dict[str, str]) -> str:
    """The text with what stands between its marks replaced.

    Raises:
        KeyError: a mark names a figure that there is not.
    """

    def replaced(match: re.Match[str]) -> str:
        part = parts[match["name"]]
        part = f"\n\n{part}\n\n" if match["text"].startswith("\n") else part
        return f"{match[1]}{part}{match[4]}"

    return MARKED.sub(replaced, text)


def all_parts(numbers: Path = NUMBERS) -> dict[str, str]:
    """Every figure that a page may ask for, by name, as Markdown."""
    files = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(numbers.glob("*.json"))}
    models = {name: figures for name, figures in files.items() if "sha256" in figures and "nme" in figures}
    parts = {"models.zoo": zoo(models), "models.accuracy": accuracy(models)}
    for name, figures in models.items():
        parts |= {f"{name}.{part}": text for part, text in model_parts(figures).items()}
    if "films" in files:
        parts |= {f"films.{part}": text for part, text in film_parts(files["films"]).items()}
    parts |= study_parts(numbers.parent / "ablation")
    if "attention" in files:
        parts |= {f"attention.{part}": text for part, text in attention_parts(files["attention"]).items()}
    return parts


def film_parts(films: Figures) -> dict[str, str]:
    """Jitter and lag of the smoothing."""
    rows = [  # plus 0.0: no minus before zero
        [name, f"{row['nme']:.2f} %", f"{row['jitter']:.2f} %", f"{round(row['lag'], 2) + 0.0:.2f}"]
        for name, row in films["turning"].items()
    ]
    return {
        "table": table(["landmarks", "NME", "jitter", "lag in frames"], rows),
        "speed": f"{films['speed_mean']:.2f}",
    }


def attention_parts(attention: Figures) -> dict[str, str]:
    """Times and memory, and how often LandmarkAttention is faster than the layers of PyG."""
    cells = [cell for cell in attention["cells"] if "seconds" in cell]
    time = {(cell["landmarks"], cell["batch"], cell["layer"]): cell["seconds"] for cell in cells}
    size = {(cell["landmarks"], cell["batch"], cell["layer"]): cell["bytes"] for cell in cells}
    rows = [
        [
            cell["layer"],
            str(cell["landmarks"]),
            str(cell["batch"]),
            f"{1e3 * cell['seconds']:.1f}",
            f"{cell['bytes'] / 1e6:.1f}",
        ]
        for cell in cells
    ]
    ours = time[98, 16, "LandmarkAttention"]
    ratios = {
        name: f"{time[98, 16, layer] / ours:.0f}"
        for name, layer in (("transformer", "TransformerConv"), ("gatv2", "GATv2Conv"))
    }
    share = size[98, 16, "LandmarkAttention"] / size[98, 16, "TransformerConv"]
    header = ["layer", "L", "B", "forward and backward, ms", "peak memory, MB"]
    return {"table": table(header, rows), "share": f"{100 * share:.0f} %", **ratios}


def main() -> None:
    """Write the pages, or say which would change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    parts = all_parts()
    stale = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        filled = fill(text, parts)
        if filled != text:
            stale.append(page.relative_to(ROOT))
            if not args.check:
                page.write_text(filled, encoding="utf-8")
    print("\n".join(map(str, stale)) or "all pages say what the figures are")
    sys.exit(bool(args.check and stale))


if __name__ == "__main__":
    main()
