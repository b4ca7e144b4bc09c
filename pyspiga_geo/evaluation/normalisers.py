"""The lengths of a face that its landmark errors are divided by."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pyspiga_geo.data.records import FloatArray
from pyspiga_geo.evaluation.matching import layout_of
from pyspiga_geo.layouts import EYE_CORNER_IDS, Layout, default_normaliser, get_layout
from pyspiga_geo.layouts.layout import Normaliser, current_name

_TEXTS = {
    "inter_ocular": "the distance of the outer eye corners",
    "pupils": "the distance of the eyes' centres",
    "lnd_bbox": "sqrt(w h) of the landmarks' box",
    "bbox": "sqrt(w h) of the annotated box",
    "height": "the height of the annotated box",
    "diagonal": "the diagonal of the annotated box",
}

NORMALISERS = tuple(_TEXTS)
"""The lengths of a face that :func:`normaliser` knows by name."""

# Landmarks of the right and of the left eye of the person. Ids above 24 mean different points in different
# layouts (138 is an eyelid of ibug68 and an eyebrow of wflw98), but neither layout has all eyelids of the
# other.
_EYELIDS = (
    ((7, 138, 139, 8, 141, 142), (11, 144, 145, 12, 147, 148)),
    ((7, 161, 9, 163, 8, 165, 10, 167), (11, 169, 13, 171, 12, 173, 14, 175)),
)


def normaliser(
    landmarks: npt.ArrayLike, ids: Sequence[int], kind: Normaliser, bbox: npt.ArrayLike | None = None
) -> FloatArray:
    """Length of each face that its errors are divided by.

    Two ids mean the distance of these landmarks; the named lengths are

    ============  ===============================================================================================
    inter_ocular  distance of the outer eye corners, ids 7 and 12 (old name: ``"corners"``)
    pupils        distance of the eyes' centres, each the mean of the points of its eyelids: six per eye in
                  the 68-point layout, eight in the 98-point one (whose two pupil points follow the gaze and
                  are left out: the length of a face must not depend on where it looks)
    lnd_bbox      sqrt(w h) of the tight box of the landmarks
    bbox          sqrt(w h) of the annotated box
    height        h of the annotated box
    diagonal      sqrt(w^2 + h^2) of the annotated box
    ============  ===============================================================================================

    Args:
        landmarks: true positions [F, L, 2], pixels.
        ids: which landmark each of the L rows is.
        kind: one of ``NORMALISERS``, or two ids.
        bbox: annotated boxes [F, 4] as (x, y, w, h), pixels; only the last three kinds need them.

    Returns:
        float64 [F], pixels; NaN if its points are missing.

    Raises:
        ValueError: for an unknown kind, or if the landmarks or boxes that it needs are not given.

    Example:
        >>> eyes = [[[0, 0], [30, 40]]]
        >>> normaliser(eyes, ids=(7, 12), kind="inter_ocular").tolist()
        [50.0]
        >>> normaliser(eyes, ids=(201, 202), kind=(201, 202)).tolist()
        [50.0]
        >>> normaliser(eyes, ids=(7, 12), kind="diagonal", bbox=[[0, 0, 6, 8]]).tolist()
        [10.0]
    """
    points = np.asarray(landmarks, dtype=np.float64)
    length: FloatArray
    kind = current_name(kind)
    if kind == "inter_ocular":
        kind = EYE_CORNER_IDS
    if kind == "pupils" or not isinstance(kind, str):
        ends = _eyelids(ids) if kind == "pupils" else [(int(end),) for end in kind]
        right, left = (_centre(points, ids, end) for end in ends)
        length = np.linalg.norm(left - right, axis=-1)
    elif kind == "lnd_bbox":
        size = np.fmax.reduce(points, axis=1) - np.fmin.reduce(points, axis=1)  # these pass over NaN
        length = np.sqrt(size[:, 0] * size[:, 1])
    elif kind not in NORMALISERS:
        raise ValueError(f"unknown normaliser {kind!r}; known are {', '.join(NORMALISERS)}")
    elif bbox is None:
        raise ValueError(f"the normaliser {kind!r} needs the annotated boxes")
    else:
        width, height = np.asarray(bbox, dtype=np.float64)[:, 2:].T
        length = {"bbox": np.sqrt(width * height), "height": height, "diagonal": np.hypot(width, height)}[kind]
    return length


def own_normaliser(ids: Sequence[int], layout: str | Layout | None = None) -> Normaliser:
    """Default normaliser of landmarks: the ``norm`` of their layout.

    The layout is the one given, or that of :func:`layout_of`. Without a layout, or if two landmarks that its
    norm needs are not among the ids, it is the distance of the outer eye corners if both are, else the landmarks' box.

    Args:
        ids: of the landmarks.
        layout: the landmark set, if it is known.

    Returns:
        A name of ``NORMALISERS``, or two ids.

    Example:
        >>> own_normaliser((7, 12, 128)), own_normaliser((128, 129)), own_normaliser((201, 202, 203))
        ('inter_ocular', 'lnd_bbox', 'lnd_bbox')
    """
    if layout is not None:
        return get_layout(layout).norm
    known = layout_of(ids)
    norm = default_normaliser(ids) if known is None else known.norm
    needed = EYE_CORNER_IDS if norm == "inter_ocular" else () if isinstance(norm, str) else norm
    return norm if set(needed) <= set(ids) else default_normaliser(ids)


def normaliser_text(kind: Normaliser) -> str:
    """Description of a normaliser, for a sentence.

    Args:
        kind: one of ``NORMALISERS``, or two ids.

    Returns:
        The text.

    Example:
        >>> normaliser_text("inter_ocular"), normaliser_text((201, 203))
        ('the distance of the outer eye corners', 'the distance of landmarks 201 and 203')
    """
    if isinstance(kind, str):
        return _TEXTS[str(current_name(kind))]
    return "the distance of landmarks {} and {}".format(*kind)


def _eyelids(ids: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The eyelid points of the layout that ``ids`` belong to, right and left eye."""
    for right, left in _EYELIDS:
        if {*right, *left} <= set(ids):
            return right, left
    raise ValueError("the normaliser 'pupils' needs all eyelid points of the 68-point or the 98-point layout")


def _centre(points: FloatArray, ids: Sequence[int], wanted: Sequence[int]) -> FloatArray:
    """Mean position [F, 2] of the wanted landmarks; NaN as soon as one of them is missing."""
    if lacking := [str(landmark) for landmark in wanted if landmark not in ids]:
        raise ValueError(f"the normaliser needs landmark {', '.join(lacking)}, which is not among the ids")
    centre: FloatArray = points[:, [list(ids).index(landmark) for landmark in wanted]].mean(axis=1)
    return centre
