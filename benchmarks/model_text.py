"""What the pages say about the models that ship, as Markdown, made from the figures that `model_figures.py` wrote."""

from typing import Any

OTHERS = (
    ("the authors' SPIGA", 2.69, "about a third more faces"),
    ("MobileFaceNet-112", 3.41, "more faces"),
    ("PFLD-112", 3.49, "more faces"),
)
"""Other networks on the same 224 faces, with the weights that their authors publish: name, NME in percent, training."""

Figures = dict[str, Any]


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; columns after the first are flush right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def work(each: Figures) -> float:
    """GFLOP for one face, in all the views that are the default."""
    gigaflop: float = each["default_views"] * each["flop"] / 1e9
    return gigaflop


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
                f"{work(each):.1f}",
                f"{each['default_views'] * each['milliseconds']:.0f}",
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
        "work": f"{work(each):.1f} GFLOP",
        "size": f"{each['parameters'] / 1e6:.1f} million parameters",
        "megabytes": f"{each['bytes'] / 1e6:.1f} MB",
        "faces": str(each["faces"]),
        "steps": steps_table(each),
        "spread": spread(each),
        "parts": parts_table(each),
        "contours": contours(each),
        "hidden": hidden(each),
        "moved": moved(each),
        "views": views(each),
        "time": f"One view of a face takes {each['milliseconds']:.0f} ms from crop to landmarks (`model.optimize()`, "
        f"one thread of a machine with two x86 cores, {each['instructions']}, no GPU; processor time of the quickest "
        "pass).",
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
    options = config["backbone_options"]
    encoder = options.get("encoder", "lite0").replace("lite", "EfficientNet-Lite")
    network = {
        "hourglass": f"{config['num_stacks']} hourglasses of {config['channels']} channels",
        "encoder_decoder": f"{encoder} on the image at {'full' if options.get('full_size') else 'half'} size and a "
        "decoder of 3 x 3 convolutions",
    }
    views = each["default_views"]
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
        ["work", f"{parts['work']} per face" + (f", in {views} views" if views > 1 else "")],
        ["file", f"`pyspiga_geo/models/weights/{each['file']}`, with configuration and layout inside"],
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])


def steps_table(each: Figures) -> str:
    """NME from x_0 to the last step, and of the heatmaps."""
    steps = {name: value for name, value in each["nme_by_step"].items() if name.startswith("step ")}
    texts = {name: f"after {name}" for name in steps} | {"step 1": "after step 1 of the cascade"}
    if (corrected := each["nme_by_step"].get("landmarks")) is not None:
        steps["landmarks"], texts["landmarks"] = corrected, "corrected by the shape prior"
    *_, last = steps
    rows = [["x_0, the rigid face under the estimated pose", f"{each['nme_by_step']['initial']:.2f} %"]]
    for name, value in steps.items():
        rows.append([texts[name], f"{value:.2f} %" + (f" ({value:.3f})" if name == last else "")])
    of_all = "the landmarks" if each["default_views"] == 1 else f"mean of {each['default_views']} views: the landmarks"
    rows.append([of_all, f"**{each['nme']:.2f} %** ({each['nme']:.3f})"])
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
        f"AUC_{threshold} {each['auc']:.1f} %; {failed}. In one view, errors of the heatmaps minus those of the "
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


def views(each: Figures) -> str:
    """What several views of a face bring, and what they cost."""
    header = ["views", "work", "NME", "box moved: NME", "landmarks move by", "in the mirror by"]
    rows = []
    for count, row in each["views"].items():
        work = f"{int(count) * each['flop'] / 1e9:.1f} GFLOP"
        shares = [f"{row[name]:.2f} %" for name in ("nme", "box_nme", "box", "mirror") if name in row]
        rows.append([count, work, *shares])
    return table(header[: len(rows[0])], rows)
