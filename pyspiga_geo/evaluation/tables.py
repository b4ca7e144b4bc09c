"""Results as tables that are readable on a screen and are Markdown."""

import math
from collections.abc import Mapping, Sequence

from pyspiga_geo.evaluation.evaluation import Evaluation, compare_evaluations
from pyspiga_geo.evaluation.head_pose import ANGLES, LIMITS
from pyspiga_geo.evaluation.normalisers import normaliser_text


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width between bars; the first is flush left, the others are flush right.

    Example:
        >>> print(table(["", "NME"], [["all", "2.0306"], ["indoor", "2.0346"]]))
        |        |    NME |
        |:-------|-------:|
        | all    | 2.0306 |
        | indoor | 2.0346 |
    """
    width = [max(len(text) for text in column) for column in zip(header, *rows, strict=True)]
    lines = [
        " | ".join(
            text.rjust(size) if i else text.ljust(size) for i, (text, size) in enumerate(zip(row, width, strict=True))
        )
        for row in (header, *rows)
    ]
    rule = "|".join(f"{'-' * (size + 1)}:" if i else f":{'-' * (size + 1)}" for i, size in enumerate(width))
    first, *others = [f"| {line} |" for line in lines]
    return "\n".join([first, f"|{rule}|", *others])


def summary(evaluation: Evaluation) -> str:
    """The results on the whole set in a few lines."""
    metrics, pose = evaluation.landmarks, evaluation.pose
    low, high = evaluation.nme_interval
    lines = [
        f"{metrics.faces} faces, errors in percent of {normaliser_text(metrics.norm)}",
        f"NME {metrics.nme:.4f}   P90 {metrics.nme_p90:.4f}   P95 {metrics.nme_p95:.4f}   P99 {metrics.nme_p99:.4f}",
        f"AUC_{metrics.threshold:g} {metrics.auc:.3f}   FR_{metrics.threshold:g} {metrics.fr:.4f}",
    ]
    if not math.isnan(low):
        lines.append(f"95 % confidence interval of the NME: {low:.4f} to {high:.4f}")
    if metrics.unannotated:
        lines.append(f"{metrics.unannotated} landmarks are not annotated and do not count")
    if ignored := evaluation.ignored_ids:
        ids = ", ".join([*map(str, ignored[:5]), *["..."] * (len(ignored) > 5)])
        lines.append(f"{len(ignored)} predicted landmarks are in no annotation and do not count: {ids}")
    if not math.isnan(pose.mae["mean"]):
        errors = ", ".join(f"{name} {error:.3f}" for name, error in pose.mae.items())
        lines.append(f"head pose, mean absolute error in degrees: {errors}")
        if pose.faces < metrics.faces:
            lines.append(f"{metrics.faces - pose.faces} faces have no true head pose and do not count there")
    if computed := evaluation.computed_yaws:
        lines.append(f"the yaw of {computed} faces is that of their true landmarks: no head pose is annotated")
    return "\n".join(lines)


def parts_table(evaluation: Evaluation) -> str:
    """The whole, each subset and each range of yaw, one row each; angles: mean absolute error in degrees."""
    parts = {"all": evaluation, **evaluation.subsets}
    parts |= {f"yaw {name}": part for name, part in evaluation.by_yaw.items()}
    header = ["", *_figure_names(evaluation), *(f"{angle} °" for angle in ANGLES)]
    rows = [
        [name, *_figures(part), *(_number(part.pose.mae[angle], 3) for angle in ANGLES)] for name, part in parts.items()
    ]
    return table(header, rows)


def contour_table(evaluations: Mapping[str, Evaluation]) -> str:
    """NME of each contour alone, one column per method."""
    columns = [evaluation.landmarks.per_contour for evaluation in evaluations.values()]
    rows = [[name, *(_number(column[name], 3) for column in columns)] for name in columns[0]]
    return table(["contour", *evaluations], rows)


def pose_table(evaluation: Evaluation) -> str:
    """How often the head pose is right to within so many degrees, one row per angle."""
    pose = evaluation.pose
    rows = [
        [angle, _number(pose.mae[angle], 3), *(_number(share, 2) for share in pose.accuracy[angle].values())]
        for angle in ANGLES
    ]
    return table(["head pose", "mean error °", *(f"% within {limit:g}°" for limit in LIMITS)], rows)


def comparison_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Methods side by side, and the difference of each from the first, for the whole and every subset."""
    reference, *others = evaluations
    first = evaluations[reference]
    rows = [[name, *_figures(evaluation)] for name, evaluation in evaluations.items()]
    figures = table(["method", *_figure_names(first)], rows)
    rows = [
        [
            f"{name} - {reference}",
            part,
            f"{paired.difference:+.4f}",
            _interval(paired.interval, "+.4f"),
            f"{paired.p_permutation:.2g}",
            f"{paired.p_wilcoxon:.2g}",
        ]
        for name in others
        for part, paired in compare_evaluations(evaluations[name], first).items()
    ]
    header = ["difference", "part", "NME", "95 % of the difference", "p permutation", "p Wilcoxon"]
    return f"{figures}\n\n{table(header, rows)}"


def _figure_names(evaluation: Evaluation) -> list[str]:
    threshold = f"{evaluation.landmarks.threshold:g}"
    return ["faces", "NME", "95 % of the NME", "P90", "P95", "P99", f"AUC_{threshold}", f"FR_{threshold}"]


def _figures(evaluation: Evaluation) -> list[str]:
    metrics = evaluation.landmarks
    errors = (metrics.nme_p90, metrics.nme_p95, metrics.nme_p99)
    interval = _interval(evaluation.nme_interval, ".4f")
    curve = [f"{metrics.auc:.3f}", f"{metrics.fr:.4f}"]
    return [str(metrics.faces), f"{metrics.nme:.4f}", interval, *(f"{error:.4f}" for error in errors), *curve]


def _interval(ends: tuple[float, float], form: str) -> str:
    low, high = ends
    return "" if math.isnan(low) else f"{low:{form}} to {high:{form}}"


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"
