"""Whether a model knows how sure it is, and what its cascade is worth where a landmark is hidden.

    python benchmarks/uncertainty.py --model weights.safetensors --annotations 300w/train.json --validation 0.03

On plain crops: what share of the landmarks the 50, 80 and 95 % ellipses hold, and the mean error of the surest half of
the landmarks over that of the others. Then with an occluder of each kind painted before each face, several times: the
same, the AUROC of the predicted visibility, and the NME of hidden and of visible landmarks, of the heatmaps and of each
step. At last, over all occluders, how much the last step is better than the heatmaps on hidden landmarks, a mean over
faces with its 95 % interval. A model without a head for uncertainty has errors alone.
"""

import argparse
from collections import defaultdict
from typing import Any

import numpy as np
from faces import add_face_arguments, crops, load, look, norm_of, true_positions, write_json

from pyspiga_geo import SPIGA
from pyspiga_geo.data import AnnotatedFaces
from pyspiga_geo.data.transforms import RandomOcclusion
from pyspiga_geo.data.transforms.occluders import OCCLUDERS
from pyspiga_geo.evaluation import (
    auroc,
    bootstrap_interval,
    ellipse_coverage,
    landmark_errors,
    surest_half_ratio,
)

SIZE = (0.1, 0.5)
"""Smallest and largest side of an occluder over that of the face's box."""

Seen = dict[str, np.ndarray]


def predict(model: SPIGA, faces: AnnotatedFaces, kind: str | None, seed: int) -> Seen:
    """True and found positions [F, L, 2], what is hidden [F, L], covariances and probabilities of being seen."""
    occluder = None if kind is None else RandomOcclusion(model.config.image_size, SIZE, kinds=(kind,))
    parts: dict[str, list[np.ndarray]] = defaultdict(list)
    for batch in crops(model, faces, after=occluder, seed=seed):
        for name, value in look(model, batch.image).items():
            parts[name].append(value.double().numpy())
        parts["truth"].append(true_positions(batch))
        parts["hidden"].append((batch.visible == 0).view(len(batch.image), -1).numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def positions(seen: Seen) -> list[str]:
    return [name for name in seen if name in ("heatmaps", "landmarks") or name.startswith("step ")]


def errors_of(model: SPIGA, seen: Seen, name: str) -> np.ndarray:
    """Errors [F, L] in percent of the norm, NaN where not annotated."""
    return landmark_errors(seen[name], seen["truth"], norm_of(model, seen["truth"])[:, 0])


def figures_of(model: SPIGA, seen: Seen) -> dict[str, Any]:
    """All figures of one set of crops."""
    hidden, last = seen["hidden"], positions(seen)[-1]
    figures: dict[str, Any] = {"hidden_share": float(100 * hidden.mean()), "nme": {}, "nme_hidden": {}}
    for name in positions(seen):
        errors = errors_of(model, seen, name)
        figures["nme"][name] = float(np.nanmean(errors[~hidden]))
        figures["nme_hidden"][name] = float(np.nanmean(errors[hidden])) if hidden.any() else None
    if "covariance" in seen:
        spread = np.sqrt(np.trace(seen["covariance"], axis1=-2, axis2=-1) / 2) / norm_of(model, seen["truth"])
        coverage = ellipse_coverage(seen["truth"] - seen[last], seen["covariance"])
        figures["coverage"] = {f"{100 * p:g}": share for p, share in coverage.items()}
        figures["surest_half"] = surest_half_ratio(errors_of(model, seen, last), spread)
        known = np.isfinite(seen["truth"]).all(axis=-1)
        figures["auroc"] = auroc(-seen["visible"][known], hidden[known]) if hidden.any() else None
    return figures


def gain_on_hidden(model: SPIGA, seen: Seen) -> dict[str, Any]:
    """Errors of the heatmaps less those of the landmarks where hidden: mean over faces, and its interval."""
    gap = errors_of(model, seen, "heatmaps") - errors_of(model, seen, positions(seen)[-1])
    gap = np.where(seen["hidden"], gap, np.nan)
    gap = gap[np.isfinite(gap).any(axis=1)]
    of_face = np.nanmean(gap, axis=1)
    return {"mean": float(of_face.mean()), "interval": bootstrap_interval(of_face)}


def joined(parts: list[Seen]) -> Seen:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def measure(model: SPIGA, faces: AnnotatedFaces, draws: int, seed: int) -> dict[str, Any]:
    """Figures of plain crops, of each kind of occluder, and of all kinds together."""
    plain = predict(model, faces, None, seed)
    kinds = {
        kind: joined([predict(model, faces, kind, seed + draws * number + draw) for draw in range(draws)])
        for number, kind in enumerate(OCCLUDERS)
    }
    both = joined(list(kinds.values()))
    figures = {name: figures_of(model, seen) for name, seen in {"plain": plain, **kinds, "all kinds": both}.items()}
    return {"crops": figures, "gain_on_hidden": gain_on_hidden(model, both)}


def table(figures: dict[str, Any]) -> str:
    crops = figures["crops"]
    names = list(crops["plain"]["nme"])
    lines = [
        f"{'NME %':10}" + "".join(f"{name:>18}" for name in names),
        f"{'':10}" + "   visible   hidden" * len(names),
    ]
    for crop, row in crops.items():
        pairs = [(row["nme"][name], row["nme_hidden"][name]) for name in names]
        cells = "".join(f"{seen:10.2f}{'' if hidden is None else f'{hidden:.2f}':>8}" for seen, hidden in pairs)
        lines.append(f"{crop:10}{cells}")
    gain = figures["gain_on_hidden"]
    low, high = gain["interval"]
    lines.append(f"hidden, heatmaps less landmarks: {gain['mean']:.3f} ({low:.3f} to {high:.3f})")
    if "coverage" in crops["plain"]:
        levels = list(crops["plain"]["coverage"])
        lines += [
            "",
            f"{'':10}" + "".join(f"{'in ' + p + ' %':>10}" for p in levels) + "  surest half    AUROC  hidden %",
        ]
        for crop, row in crops.items():
            cells = "".join(f"{row['coverage'][p]:10.1f}" for p in levels)
            area = "" if row["auroc"] is None else f"{row['auroc']:.3f}"
            lines.append(f"{crop:10}{cells}{row['surest_half']:13.2f}{area:>9}{row['hidden_share']:10.1f}")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_face_arguments(parser)
    parser.add_argument("--draws", type=int, default=2, help="occluders of each kind for each face (%(default)s)")
    args = parser.parse_args()
    model, faces = load(args)
    figures = measure(model, faces, args.draws, args.seed)
    print(f"{args.model}, {len(faces)} faces, {args.draws} occluders of each kind")
    print(table(figures))
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
