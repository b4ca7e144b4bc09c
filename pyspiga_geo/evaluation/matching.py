"""Matching of predicted faces and landmarks to annotated ones; whatever has no partner is reported."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from pyspiga_geo.data.records import FaceRecord, FloatArray, landmarks_for
from pyspiga_geo.layouts import BUILT_IN, ROBUST_IDS, Layout, available_layouts, get_layout

_NAMED = 5  # so many of a kind are named in a message, the others counted


class MismatchError(ValueError):
    """Predictions and annotations are not of the same faces in the same order, or not of the same landmarks.

    Example:
        >>> match_records([], [])
        Traceback (most recent call last):
        pyspiga_geo.evaluation.matching.MismatchError: there are no faces to evaluate
    """


def match_records(
    predictions: Sequence[FaceRecord],
    annotations: Sequence[FaceRecord],
    layout: str | Layout | None = None,
) -> tuple[tuple[int, ...], FloatArray, FloatArray]:
    """Convert both to arrays over the same landmarks, those that any annotation has.

    Args:
        predictions: one record for each annotated face, in the same order.
        annotations: the true landmarks.
        layout: the landmark set, if the ids do not determine it (:func:`layout_of`).

    Returns:
        The ids of the L landmarks, in the order of their layout if it is known (:func:`layout_of`) and
        ascending otherwise; predicted positions [F, L, 2]; true positions [F, L, 2], NaN where not annotated.
        Both in pixels of the image.

    Raises:
        MismatchError: if there are no faces; the numbers of faces, the images or their order differ; the faces
            of one image are in another order; a face has no annotated landmarks; predictions lack annotated
            landmarks; or landmarks are of another layout, where one id may mean another point, or missing in
            ``layout``. The message says which, and names the faces.

    Example:
        >>> truth = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[0.0, 1.0], [5.0, 1.0]]), np.ones(2))
        >>> found = FaceRecord("a.png", (0, 0, 9, 9), (12, 7), np.array([[6.0, 2.0], [0.0, 2.0]]), np.ones(2))
        >>> ids, predicted, true = match_records([found], [truth])
        >>> ids, predicted.tolist()
        ((7, 12), [[[0.0, 2.0], [6.0, 2.0]]])
    """
    if not annotations:
        raise MismatchError("there are no faces to evaluate")
    _check_images([face.imgpath for face in predictions], [face.imgpath for face in annotations])
    _check_boxes(predictions, annotations)
    annotated = {landmark for face in annotations for landmark in face.ids}
    known = layout_of(annotated, layout)
    if layout is None:
        _check_layouts(layout_of({landmark for face in predictions for landmark in face.ids}), known, annotated)
    ids = tuple(i for i in (known.ids if known else sorted(annotated)) if i in annotated)
    predicted, truth = (np.stack([landmarks_for(face, ids) for face in faces]) for faces in (predictions, annotations))
    problems = []
    for face, (p, t) in enumerate(zip(predicted, truth, strict=True)):
        marked = ~np.isnan(t).any(axis=1)
        lacking = [ids[row] for row in np.flatnonzero(marked & np.isnan(p).any(axis=1))]
        if not marked.any():
            problems.append(f"{face_name(annotations, face)}: has no annotated landmark")
        elif lacking:
            problems.append(f"{face_name(annotations, face)}: {_lack(predictions[face], annotations[face], lacking)}")
    if problems:
        raise MismatchError(_some(problems, "\n"))
    return ids, predicted, truth


def layout_of(ids: Sequence[int] | set[int], layout: str | Layout | None = None) -> Layout | None:
    """The layout of landmarks, as far as their ids determine it.

    A registered layout never replaces a built-in one; a registered layout that has more landmarks than these, or the
    same as another, must be named.

    Args:
        ids: of the landmarks.
        layout: the layout, if it is known.

    Returns:
        ``layout``, if given; else the built-in one with exactly these ids; else the only registered one
        with exactly these; else the smallest built-in one that has them all; else None.

    Raises:
        MismatchError: if the layout given lacks some of the landmarks.

    Example:
        >>> layout_of([7, 168]).name, layout_of([7, 196]).name, layout_of([7, 9999])
        ('ibug68', 'wflw98', None)
    """
    wanted = set(ids)
    if layout is not None:
        named = get_layout(layout)
        if lacking := sorted(wanted - set(named.ids)):
            raise MismatchError(
                f"the layout {named.name} lacks {len(lacking)} of the landmarks (ids {_some(lacking, ', ')})"
            )
        return named
    registered = [each for each in map(get_layout, available_layouts()) if each not in BUILT_IN]
    exact = [each for each in registered if set(each.ids) == wanted]
    if built_in := next((each for each in BUILT_IN if set(each.ids) == wanted), None):
        return built_in
    if len(exact) == 1:
        return exact[0]
    return None if exact else next((each for each in BUILT_IN if wanted <= set(each.ids)), None)


def face_name(records: Sequence[FaceRecord], face: int) -> str:
    """How messages refer to a face: its number in the file and its image."""
    return f"face {face} ({records[face].imgpath!r})"


def _check_images(predicted: Sequence[str], true: Sequence[str]) -> None:
    if predicted == true:
        return
    unpredicted, unannotated = Counter(true) - Counter(predicted), Counter(predicted) - Counter(true)
    if not unpredicted and not unannotated:
        what = "predictions and annotations hold the same images in another order"
    elif len(predicted) != len(true):
        what = f"there are {len(predicted)} predictions for {len(true)} annotations"
    else:
        what = "predictions and annotations hold different images"
    different = (i for i, (p, t) in enumerate(zip(predicted, true, strict=False)) if p != t)
    if (face := next(different, None)) is not None:
        what += f": face {face} is {predicted[face]!r} and {true[face]!r}"
    for kind, images in (("without prediction", unpredicted), ("without annotation", unannotated)):
        if images:
            what += f"; {kind}: " + _some([f"{image!r}" for image in images.elements()], ", ")
    raise MismatchError(what)


def _check_boxes(predictions: Sequence[FaceRecord], annotations: Sequence[FaceRecord]) -> None:
    """The faces of one image are in the same order if no other pairing by overlap of boxes fits better."""
    faces_of: dict[str, list[int]] = defaultdict(list)
    for face, record in enumerate(annotations):
        faces_of[record.imgpath].append(face)
    for image, faces in faces_of.items():
        overlap = np.array([[_overlap(predictions[i].bbox, annotations[k].bbox) for k in faces] for i in faces])
        best = overlap.argmax(axis=1).tolist()
        if best != sorted(best) and len(set(best)) == len(faces):  # a wrong box alone is no permutation
            pairs = [f"face {faces[row]} lies on face {faces[k]}" for row, k in enumerate(best) if row != k]
            raise MismatchError(f"{image!r}: its faces are predicted in another order: {_some(pairs, ', ')}")


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes x, y, w, h."""
    (x, y, w, h), (u, v, s, t) = one, other
    shared = max(0.0, min(x + w, u + s) - max(x, u)) * max(0.0, min(y + h, v + t) - max(y, v))
    return shared / (w * h + s * t - shared)


def _check_layouts(found: Layout | None, wanted: Layout | None, annotated: set[int]) -> None:
    """Only some ids mean the same point in every layout; a part of the same layout is no other layout."""
    if found is None or wanted is None or annotated <= set(ROBUST_IDS):
        return
    if set(wanted.ids) <= set(found.ids) or set(found.ids) <= set(wanted.ids):
        return
    raise MismatchError(f"the predictions are of the layout {found.name}, the annotations of {wanted.name}")


def _lack(prediction: FaceRecord, annotation: FaceRecord, lacking: Sequence[int]) -> str:
    """Why landmarks have no predicted position: no such ids, or ids without a position."""
    names = _some(lacking, ", ")
    what = f"the prediction lacks {len(lacking)} annotated landmarks (ids {names})"
    if set(lacking) <= set(prediction.ids):
        return f"{what}: it has their ids but no positions"
    return f"{what}: it has {len(prediction.ids)} ids, the annotation {len(annotation.ids)}"


def _some(names: Sequence[object], separator: str) -> str:
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return separator.join([*map(str, names[:_NAMED]), *more])
