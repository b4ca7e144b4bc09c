"""One face as a PyG graph."""

from typing import Any

from torch_geometric.data import Data

POSITIONS = ("pos", "initial", "steps")
"""Node fields of :class:`FaceData` that are positions: whatever moves a face moves them all."""

_GRAPH_LEVEL = {"image", "bbox", "pose", "headpose", "camera", "crop", "score", "windows"}


class FaceData(Data):
    """A face whose nodes are its L landmarks: a :class:`torch_geometric.data.Data` with agreed names.

    Node fields: ``pos`` [L, 2]; ``initial`` [L, 2], the projected rigid face; ``steps`` [L, K, 2], where each of the
    K steps of a cascade left the landmarks; ``attention`` [L, K, layers, heads, L], row i what landmark i listens to,
    for each step, layer and head; ``visible`` [L], 1 where the landmark can be seen, of a model's landmarks
    the probability of that; ``mask`` [L] bool, False where it is not annotated. Where a model says how sure it is:
    ``covariance`` [L, 2, 2] of the true position about ``pos``, that of a Student t distribution
    (:func:`pyspiga_geo.geometry.ellipse_radius` gives the ellipses), in the square of the units of ``pos``; and
    ``sigma`` [L], its standard deviation per axis, the root of half of the trace. All positions of a face are (x, y) in
    the same frame: pixels of the photo, or normalised crop coordinates (pixel index / resolution). Whoever returns the
    graph says which.

    Edge fields: ``edge_index`` [2, E] and ``edge_weight`` [E], the last layer's attention from source to target.

    Graph fields get a batch dimension when faces are batched: ``image`` [3, H, W], ``bbox`` [4] as x, y, w, h in
    pixels (along the face's own axes where its crop is turned), ``pose`` [6] as yaw, pitch, roll in degrees and
    translation, ``headpose`` [6], the same as the photo's annotation says it, ``camera`` [3, 3], ``crop`` [3, 3] (photo
    pixels to crop pixels), ``score`` [], how sure the detector is of the face, 0..1; ``windows`` [K], the sides of the
    windows through which each step looked, in the units of the positions.

    Fields of your own are welcome; those with L rows are node fields. As in all of PyG a field whose name contains
    ``index`` holds numbers of nodes: batching adds the nodes of the faces before to it. Name no field so, nor
    ``face`` or anything with ``batch``, whose numbers should stay as they are: ``number``, not ``face_index``.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Batch
        >>> face = FaceData(pos=torch.zeros(68, 2), bbox=torch.tensor([10.0, 10, 50, 60]), number=7)
        >>> Batch.from_data_list([face, face])
        FaceDataBatch(pos=[136, 2], bbox=[2, 4], number=[2], batch=[136], ptr=[3])
    """

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Stack graph-level fields along a new first dimension; leave the rest to PyG."""
        if key in _GRAPH_LEVEL:
            return None
        return super().__cat_dim__(key, value, *args, **kwargs)
