"""One face as a PyG graph."""

from typing import Any

from torch_geometric.data import Data

POSITIONS = ("pos", "initial", "steps")
"""Node fields of :class:`FaceData` that are positions: a transform that moves a face moves all of them."""

_GRAPH_LEVEL = {"image", "bbox", "pose", "headpose", "camera", "crop", "score", "windows"}


class FaceData(Data):
    """A face whose nodes are its L landmarks: a :class:`torch_geometric.data.Data` with agreed field names.

    All positions of a face are (x, y) in the same frame: pixels of the photo, or normalised crop coordinates (pixel
    index / resolution). The function that returns the graph says which. Every field is optional.

    Attributes:
        pos: node field [L, 2]: positions of the landmarks.
        initial: node field [L, 2]: x_0, the projected rigid face.
        steps: node field [L, K, 2]: positions after each of the K steps of a cascade; ``steps[:, -1]`` is ``pos``,
            unless a shape prior has corrected it.
        attention: node field [L, K, layers, heads, L]: row i holds the weights of the landmarks j that landmark i
            attends to, for each step, layer and head.
        visible: node field [L]: 1 where the landmark is visible, 0 where it is hidden; for landmarks predicted by a
            model, the probability that it is visible.
        mask: node field [L], bool: False where the landmark is not annotated.
        covariance: node field [L, 2, 2]: covariance of the true position about ``pos``, in squared units of ``pos``. It
            is that of a Student t distribution; :func:`pyspiga_geo.geometry.ellipse_radius` gives its ellipses.
        sigma: node field [L]: standard deviation per axis, the root of half the trace of ``covariance``.
        edge_index: edge field [2, E]: source and target.
        edge_weight: edge field [E]: attention of the last layer from source to target, averaged over the heads.
        image: graph field [3, H, W]: float RGB in 0..1.
        bbox: graph field [4]: x, y, w, h in pixels (along the face's own axes if its crop is rotated).
        pose: graph field [6]: yaw, pitch, roll in degrees, then the translation in units of the rigid shape. From an
            aligner it is fitted to ``pos``; from a model's output it is the estimate that ``initial`` starts from.
        headpose: graph field [6]: the annotated head pose, as ``pose``; NaN where there is none.
        camera: graph field [3, 3]: intrinsic matrix.
        crop: graph field [3, 3]: affine map from photo pixels to crop pixels.
        score: graph field []: confidence of the detector, 0..1.
        windows: graph field [K]: side of the window of each step, in the units of the positions.

    Graph fields get a batch dimension when faces are batched. You may add fields of your own; those with L rows are
    node fields. As everywhere in PyG, a field whose name contains ``index`` holds node numbers, which batching shifts
    by the number of nodes before it. For numbers that should stay as they are, avoid such names, ``face``, and any name
    with ``batch``: call the field ``number``, not ``face_index``.

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
