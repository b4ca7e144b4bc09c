"""Output of a SPIGA model."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree
from torch_geometric.utils import coalesce

from pyspiga_geo.geometry import rms_deviation
from pyspiga_geo.graph import FaceData, complete_edges
from pyspiga_geo.nn.checks import as_edges


class SPIGAOutput(NamedTuple):
    """Landmarks of a batch of B crops. Positions are (x, y) over the crop, pixel index / resolution.

    Example:
        >>> from pyspiga_geo import SPIGA
        >>> model = SPIGA.from_preset("compact", image_size=64, num_stacks=1, channels=16, num_layers=2).eval()
        >>> out = model(torch.rand(2, 3, 64, 64), return_attention=True)
        >>> out.landmarks.shape, len(out.steps), len(out.attention), out.pose.shape
        (torch.Size([2, 68, 2]), 3, 6, torch.Size([2, 6]))
        >>> out.to_data_list()[0].attention.shape
        torch.Size([68, 3, 2, 4, 68])
    """

    landmarks: Tensor
    """[B, L, 2]: positions after the last step, corrected by the shape prior if the model has one."""
    steps: list[Tensor]
    """K tensors [B, L, 2]: positions after each step."""
    initial: Tensor
    """[B, L, 2]: x_0, the rigid face seen under ``pose``."""
    pose: Tensor | None
    """[B, 6]: yaw, pitch, roll in degrees, translation in units of the rigid shape. None without a pose head."""
    feature_map: Tensor
    """[B, C, h, w]: the map that the last step of the cascade read."""
    attention: list[Tensor] | None
    """On request, steps x layers tensors [B, heads, L, L]: row i holds the weights of the landmarks j that i attends
    to.
    """
    x: Tensor | None = None
    """[B, L, hidden_channels]: node features after the last layer, for a head of your own."""
    covariance: Tensor | None = None
    """[B, L, 2, 2]: covariance of the true position about ``landmarks``, in squared normalised crop coordinates, of a
    Student t distribution (:func:`pyspiga_geo.geometry.ellipse_radius`). None without an uncertainty head.
    """
    visible: Tensor | None = None
    """[B, L]: probability that the landmark is visible in the crop. None without an uncertainty head."""
    edge_index: Any = None
    """The edges that the model was given, over the landmarks; None: the complete graph."""

    def to_data_list(self) -> list[FaceData]:
        """One graph per face, ready for networkx or another GNN.

        Each has ``pos`` [L, 2], ``initial`` [L, 2], ``steps`` [L, K, 2], ``pose`` [6] and ``edge_index`` [2, E]: all
        edges of the graph that the model ran on, the complete one unless it was given another; self-loops only if
        landmarks attend to themselves. With attention also ``edge_weight`` [E], that of the last layer from source to
        target, averaged over heads, and ``attention`` [L, K, layers, heads, L] if all layers have equally many heads:
        ``face.attention[i, step, layer, head, j]`` is the weight with which landmark i attends to landmark j. With an
        uncertainty head also ``covariance`` [L, 2, 2], ``sigma`` [L] and ``visible`` [L].
        """
        edge_index = self._edges()
        steps = (
            torch.stack(self.steps, dim=2) if self.steps else self.landmarks.new_zeros(*self.landmarks.shape[:2], 0, 2)
        )
        uniform = bool(self.attention) and len({alpha.shape for alpha in self.attention or ()}) == 1
        faces = []
        for index, pos in enumerate(self.landmarks):
            pose = None if self.pose is None else self.pose[index]
            face = FaceData(pos=pos, initial=self.initial[index], steps=steps[index], pose=pose, edge_index=edge_index)
            if self.attention:
                face.edge_weight = self.attention[-1][index].mean(dim=0)[edge_index[1], edge_index[0]]
            if self.attention and uniform:
                layers = torch.stack([alpha[index] for alpha in self.attention], dim=2)  # [heads, L, K layers, L]
                face.attention = layers.permute(1, 2, 0, 3).unflatten(1, (len(self.steps), -1)).contiguous()
            if self.covariance is not None:
                face.covariance = self.covariance[index]
                face.sigma = rms_deviation(face.covariance)
            if self.visible is not None:
                face.visible = self.visible[index]
            faces.append(face)
        return faces

    def _edges(self) -> Tensor:
        """Edges [2, E], sorted by target; with self-loops where the last layer's attention has a diagonal."""
        count, device = self.landmarks.size(1), self.landmarks.device
        if self.edge_index is None:
            edges = complete_edges(count, device)
        else:
            edges = as_edges(self.edge_index, count, count)
            edges = coalesce(edges[:, edges[0] != edges[1]], sort_by_row=False)
        if self.attention and self.attention[-1].diagonal(dim1=-2, dim2=-1).any():
            loops = torch.arange(count, device=device).expand(2, -1)
            edges = coalesce(torch.cat([edges, loops], dim=1), sort_by_row=False)
        return edges


_pytree._register_namedtuple(SPIGAOutput, serialized_type_name="pyspiga_geo.models.SPIGAOutput")  # torch.export.save
