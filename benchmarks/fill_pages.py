"""Put measured figures into README and documentation, between marks that name them.

    python benchmarks/fill_pages.py            # writes the pages
    python benchmarks/fill_pages.py --check    # only says which pages are out of date; exits with 1 if any is

The figures are in `docs/numbers/*.json`, each written by the benchmark that its entry "model", "film" or "settings"
belongs to: `model_figures.py`, `films.py --json`, `attention.py --json`. A mark is an HTML comment:

    <!-- figure compact.nme -->3.09 %<!-- /figure -->

Tables and whole paragraphs have the two marks on lines of their own.
"""

import argparse
import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "docs" / "numbers"
MARKED = re.compile(r"(<!-- figure (?P<name>[\w.-]+) -->)(?P<text>.*?)(<!-- /figure -->)", re.DOTALL)

OTHERS = (
    ("the authors' SPIGA", 2.69, "about a third more faces"),
    ("MobileFaceNet-112", 3.41, "more faces"),
    ("PFLD-112", 3.49, "more faces"),
)
"""Other networks on the same 224 faces, with the weights that their authors publish: name, NME in percent, training."""

Figures = dict[str, Any]


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


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; columns after the first are flush right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def all_parts(numbers: Path = NUMBERS) -> dict[str, str]:
    """Every figure that a page may ask for, by name, as Markdown."""
    files = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(numbers.glob("*.json"))}
    models = {name: figures for name, figures in files.items() if "sha256" in figures and "nme" in figures}
    parts = {"models.zoo": zoo(models), "models.accuracy": accuracy(models)}
    for name, figures in models.items():
        parts |= {f"{name}.{part}": text for part, text in model_parts(figures).items()}
    if "films" in files:
        parts |= {f"films.{part}": text for part, text in film_parts(files["films"]).items()}
    parts["operators.errors"] = operators(numbers.parent / "ablation" / "table.csv")
    if "attention" in files:
        parts |= {f"attention.{part}": text for part, text in attention_parts(files["attention"]).items()}
    return parts


# ---- models


def zoo(models: dict[str, Figures]) -> str:
    """What ships, a row per model."""
    header = ["model", "landmarks", "crop", "parameters", "file", "GFLOP per face", "ms per face", "NME"]
    rows = []
    for name, each in models.items():
        side = each["config"]["image_size"]
        rows.append(
            [
                f"`{name}`",
                f"{each['landmarks']} (`{each['layout']}`)",
                f"{side} x {side}",
                f"{each['parameters'] / 1e6:.1f} million",
                f"{each['bytes'] / 1e6:.1f} MB",
                f"{each['flop'] / 1e9:.1f}",
                f"{each['milliseconds']:.0f}",
                f"{each['nme']:.2f} %",
            ]
        )
    return table(header, rows)


def accuracy(models: dict[str, Figures]) -> str:
    """All that has been measured on the same faces, best first."""
    rows = [(value, [name, f"{value:.2f} %", "", trained]) for name, value, trained in OTHERS]
    for name, each in models.items():
        low, high = each["interval"]
        values = [f"**{each['nme']:.2f} %**", f"{low:.2f} to {high:.2f} %", each["trained_on"]]
        rows.append((each["nme"], [f"**`{name}`, this package**", *values]))
    header = ["network", "NME", "95 % interval", "trained on"]
    return table(header, [row for _, row in sorted(rows)])


def model_parts(each: Figures) -> dict[str, str]:
    """Everything said about one model."""
    config = each["config"]
    side = config["image_size"]
    parts = {
        "nme": f"{each['nme']:.2f} %",
        "landmarks": str(each["landmarks"]),
        "initial": f"{each['nme_by_step']['initial']:.2f} %",
        "work": f"{each['flop'] / 1e9:.1f} GFLOP",
        "size": f"{each['parameters'] / 1e6:.1f} million parameters",
        "megabytes": f"{each['bytes'] / 1e6:.1f} MB",
        "faces": str(each["faces"]),
        "steps": steps_table(each),
        "spread": spread(each),
        "parts": parts_table(each),
        "contours": contours(each),
        "hidden": hidden(each),
        "moved": moved(each),
        "time": f"One face takes {each['milliseconds']:.0f} ms from crop to landmarks (`model.optimize()`, one thread "
        "of a machine with two x86 cores, AVX2, no GPU; processor time of the quickest pass).",
    }
    parts["summary"] = (
        f"{each['landmarks']} landmarks, crops of {side} x {side} pixels, {parts['size']} ({parts['megabytes']}), "
        f"{parts['work']} per face"
    )
    parts["card"] = card(each, parts)
    return parts


def card(each: Figures, parts: dict[str, str]) -> str:
    """The table at the head of a model card."""
    config = each["config"]
    side = config["image_size"]
    network = {
        "hourglass": f"{config['num_stacks']} hourglasses of {config['channels']} channels",
        "encoder_decoder": "EfficientNet-Lite0 up to 1/16 of the side and a decoder of 3 x 3 convolutions",
    }
    windows = "features and heatmaps" if config["heatmap_windows"] else "features"
    layout = f"[`{each['layout']}`](layouts.md#{each['layout']})"
    more = ", covariance and visibility of each landmark" if config["uncertainty"] else ""
    rows = [
        [
            "output",
            f"{each['landmarks']} landmarks ({layout}) and head pose of a face in a box{more}",
        ],
        ["input", f"RGB crops of {side} x {side} pixels, {config['crop_scale']:g} times the face's box"],
        [
            "architecture",
            f"{network.get(config['backbone'], 'backbone `' + config['backbone'] + '`')}; {config['num_steps']} steps "
            f"of {config['num_layers']} graph layers with {config['heads']} heads; windows on {windows}",
        ],
        ["size", f"{parts['size']}, {parts['megabytes']}"],
        ["work", f"{parts['work']} per face"],
        ["file", f"`pyspiga_geo/models/weights/{each['file']}`, with configuration and layout inside"],
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])


def steps_table(each: Figures) -> str:
    """NME from x_0 to the last step, and of the heatmaps."""
    steps = {name: value for name, value in each["nme_by_step"].items() if name.startswith("step ")}
    last = list(steps)[-1]
    rows = [["x_0, the rigid face under the estimated pose", f"{each['nme_by_step']['initial']:.2f} %"]]
    for name, value in steps.items():
        if name == last:
            rows.append([f"after {name}: the landmarks", f"**{value:.2f} %** ({value:.3f})"])
        else:
            rows.append([f"after {name} of the cascade" if name == "step 1" else f"after {name}", f"{value:.2f} %"])
    heatmaps = each["nme_by_step"]["heatmaps"]
    rows.append(["for comparison, read off the backbone's heatmaps", f"{heatmaps:.2f} % ({heatmaps:.3f})"])
    return table(["", "NME"], rows)


def spread(each: Figures) -> str:
    """Interval, percentiles, failures, head pose."""
    low, high = each["interval"]
    gap, (gap_low, gap_high) = (each["heatmaps_minus_landmarks"][key] for key in ("difference", "interval"))
    percent = ", ".join(f"P{q} {value:.2f} %" for q, value in each["percentiles"].items())
    threshold = f"{each['threshold']:g}"
    failed = f"failures above {threshold} %: {each['failures']:.1f} % of the faces"
    if not each["failures"]:
        failed = f"no face above {threshold} % (the worst: {each['worst']:.2f} %)"
    text = (
        f"95 % confidence interval of the NME: {low:.2f} to {high:.2f} %. {percent}; "
        f"AUC_{threshold} {each['auc']:.1f} %; {failed}. Errors of the heatmaps minus those of the "
        f"landmarks: {gap:.3f} [{gap_low:.3f}, {gap_high:.3f}] points."
    )
    if each["pose"]:
        angles = ", ".join(f"{name} {value:.2f}" for name, value in each["pose"].items())
        text += f" Head pose against that of the true landmarks, mean absolute error in degrees: {angles}."
    if each["coverage"]:
        inside = ", ".join(f"{share:.1f} % in those of {level} %" for level, share in each["coverage"].items())
        text += f" Landmarks inside the predicted ellipses: {inside}."
    return text


def parts_table(each: Figures) -> str:
    """Faces by yaw and by the size of their box."""
    rows = []
    for kind, unit in (("by_yaw", "degrees of yaw"), ("by_size", "pixels, longer side of the box")):
        for part in each[kind]:
            low, high = part["from"], part["to"]
            span = f"below {high}" if low == 0 else f"{low} and more" if high in (180, 10_000) else f"{low} to {high}"
            rows.append([f"{span} {unit}", str(part["faces"]), f"{part['nme']:.2f} %"])
    return table(["faces", "number", "NME"], rows)


def contours(each: Figures) -> str:
    """NME of each contour."""
    rows = [[name.replace("_", " "), f"{value:.2f} %"] for name, value in each["by_contour"].items()]
    return table(["contour", "NME"], rows)


def hidden(each: Figures) -> str:
    """What occluders change, what the cascade is worth there, and how well the model knows."""
    crops, gain = each["occluded"]["crops"], each["occluded"]["gain_on_hidden"]
    last = list(crops["plain"]["nme"])[-1]
    header = ["occluder", "heatmaps, hidden", "landmarks, hidden", "landmarks, visible"]
    sure = "auroc" in crops["plain"]
    if sure:
        header += ["in 50 %", "in 80 %", "in 95 %", "surest half", "AUROC"]
    rows = []
    for name, row in crops.items():
        values = [row["nme_hidden"]["heatmaps"], row["nme_hidden"][last], row["nme"][last]]
        cells = ["" if value is None else f"{value:.2f} %" for value in values]
        if sure:
            cells += [f"{row['coverage'][level]:.1f} %" for level in ("50", "80", "95")]
            cells += [f"{row['surest_half']:.2f}", "" if row["auroc"] is None else f"{row['auroc']:.3f}"]
        rows.append([{"plain": "none", "all kinds": "all"}.get(name, name.replace("_", " ")), *cells])
    low, high = gain["interval"]
    return (
        table(header, rows) + "\n\nErrors of the heatmaps minus those of the landmarks, where hidden: "
        f"{gain['mean']:.3f} [{low:.3f}, {high:.3f}] points."
    )


def moved(each: Figures) -> str:
    """NME and how far landmarks move when the crop changes a little."""
    names = {"plain": "as annotated", "box": "shifted by up to 5 %, scaled by up to 10 %"}
    names |= {"turned": "turned by up to 10 degrees", "mirror": "mirrored"}
    rows = [
        [names[name], f"{row['nme']:.2f} %", "" if name == "plain" else f"{row['movement']:.2f} %"]
        for name, row in each["moved"].items()
    ]
    return table(["box", "NME", "landmarks move by"], rows)


# ---- benchmarks


def film_parts(films: Figures) -> dict[str, str]:
    """Jitter and lag of the smoothing."""
    rows = [
        [name, f"{row['nme']:.2f} %", f"{row['jitter']:.2f} %", f"{row['lag']:.2f}"]
        for name, row in films["turning"].items()
    ]
    return {
        "table": table(["landmarks", "NME", "jitter", "lag in frames"], rows),
        "speed": f"{films['speed_mean']:.2f}",
    }


def operators(path: Path) -> str:
    """NME of the cells of the ablation that differ in the operator alone."""
    with path.open(encoding="utf-8", newline="") as file:
        cells = {(row["cell"], row["condition"]): row for row in csv.DictReader(file)}
    names = [cell for cell, condition in cells if condition == "all" and ":" not in cell]
    conditions = ("all", "occluded", "occluded: hidden")
    rows = [
        [f"`{name}`"]
        + [f"{float(cells[name, each]['nme']):.2f} ± {float(cells[name, each]['spread']):.2f}" for each in conditions]
        + [f"{int(cells[name, 'all']['parameters']):,}", cells[name, "all"]["seeds"]]
        for name in sorted(names, key=lambda name: float(cells[name, "all"]["nme"]))
    ]
    return table(["operator", "all", "occluded", "hidden", "parameters", "trainings"], rows)


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
