"""What a SPIGA model returns."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree
from torch_geometric.utils import dense_to_sparse

from pyspiga_geo.geometry import rms_deviation
from pyspiga_geo.graph import FaceData, complete_edges


class SPIGAOutput(NamedTuple):
    """Landmarks of a batch of B crops. Positions are (x, y) over the crop, pixel index / resolution."""

    landmarks: Tensor
    """[B, L, 2]: where the last step left the landmarks."""
    steps: list[Tensor]
    """K tensors [B, L, 2]: positions after each step."""
    initial: Tensor
    """[B, L, 2]: x_0, the rigid face seen under ``pose``."""
    pose: Tensor | None
    """[B, 6]: yaw, pitch, roll in degrees, translation in units of the rigid shape. None without a pose head."""
    feature_map: Tensor
    """[B, C, h, w]: what the last step of the cascade looked at."""
    attention: list[Tensor] | None
    """On request, steps x layers tensors [B, heads, L, L]: row i weighs the landmarks j that i listens to."""
    x: Tensor | None = None
    """[B, L, hidden_channels]: node features after the last layer, for a head of one's own."""
    covariance: Tensor | None = None
    """[B, L, 2, 2]: of the true position about ``landmarks``, in normalised crop coordinates squared. It is that of a
    Student t distribution: :func:`pyspiga_geo.geometry.ellipse_radius`. None without a head for uncertainty."""
    visible: Tensor | None = None
    """[B, L]: probability that the landmark can be seen in the crop. None without a head for uncertainty."""

    def to_data_list(self) -> list[FaceData]:
        """One graph a face, ready for networkx or another GNN.

        Each has ``pos`` [L, 2], ``initial`` [L, 2], ``steps`` [L, K, 2] and ``pose`` [6]; of a model with a head for
        uncertainty also ``covariance`` [L, 2, 2], ``sigma`` [L] and ``visible`` [L]. With attention, edges are
        the pairs with a weight and ``edge_weight`` [E] is the last layer's attention from source to target,
        averaged over heads; without, the graph is complete and has no weights.
        """
        steps = (
            torch.stack(self.steps, dim=2) if self.steps else self.landmarks.new_zeros(*self.landmarks.shape[:2], 0, 2)
        )
        faces = []
        for index, pos in enumerate(self.landmarks):
            if self.attention:
                adjacency = self.attention[-1][index].mean(dim=0)
                edge_index, edge_weight = dense_to_sparse(adjacency.T.contiguous())
                edges = {"edge_index": edge_index, "edge_weight": edge_weight}
            else:
                edges = {"edge_index": complete_edges(len(pos), pos.device)}
            pose = None if self.pose is None else self.pose[index]
            face = FaceData(pos=pos, initial=self.initial[index], steps=steps[index], pose=pose, **edges)
            if self.covariance is not None:
                face.covariance = self.covariance[index]
                face.sigma = rms_deviation(face.covariance)
            if self.visible is not None:
                face.visible = self.visible[index]
            faces.append(face)
        return faces


_pytree._register_namedtuple(SPIGAOutput, serialized_type_name="pyspiga_geo.models.SPIGAOutput")  # torch.export.save
