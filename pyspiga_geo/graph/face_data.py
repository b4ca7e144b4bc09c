"""One face as a PyG graph."""

from typing import Any

from torch_geometric.data import Data

_GRAPH_LEVEL = {"image", "bbox", "pose", "camera", "crop"}


class FaceData(Data):
    """A face whose nodes are its L landmarks: a :class:`torch_geometric.data.Data` with agreed names.

    Node fields: ``pos`` [L, 2]; ``initial`` [L, 2], the projected rigid face; ``visible`` [L], 1 where the
    landmark can be seen; ``mask`` [L] bool, False where it is not annotated. Whether positions are pixels of
    the photo or crop units (pixel index / resolution) is said by whoever returns the graph.

    Edge fields: ``edge_index`` [2, E] and ``edge_weight`` [E], attention from source to target.

    Graph fields get a batch dimension when faces are batched: ``image`` [3, H, W], ``bbox`` [4] as x, y, w, h
    in pixels, ``pose`` [6] as yaw, pitch, roll in degrees and translation, ``camera`` [3, 3],
    ``crop`` [3, 3] (photo pixels to crop pixels).
    """

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Stack graph-level fields along a new first dimension; leave the rest to PyG."""
        if key in _GRAPH_LEVEL:
            return None
        return super().__cat_dim__(key, value, *args, **kwargs)
