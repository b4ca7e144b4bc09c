"""YuNet, a face detector with 53,104 parameters.

Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research 20, 2023. The weights are
those of OpenCV Zoo (``face_detection_yunet_2023mar.onnx``, MIT licence), converted by ``scripts/convert_yunet.py``.
"""

from pathlib import Path
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

_WEIGHTS = Path(__file__).with_name("weights") / "yunet.safetensors"

_STRIDES = (8, 16, 32)
"""Pixels between the cells of the three maps."""


class Faces(NamedTuple):
    """Faces, or candidate cells, in pixels of the picture that was searched.

    Example:
        >>> faces = YuNet()(torch.rand(1, 3, 64, 64))
        >>> faces.score.shape, faces.box.shape, faces.points.shape  # 8 x 8 + 4 x 4 + 2 x 2 cells
        (torch.Size([1, 84]), torch.Size([1, 84, 4]), torch.Size([1, 84, 5, 2]))
    """

    score: Tensor
    """[..., N], 0..1."""
    box: Tensor
    """x, y, w, h [..., N, 4], from forehead to chin."""
    points: Tensor
    """(x, y) [..., N, 5, 2]: eyes, tip of the nose, corners of the mouth; of each pair the person's right one first."""


class YuNet(nn.Module):
    """Score, box and five points of a face for every cell of three maps, with cells of 8, 16 and 32 pixels.

    The weights are random; :meth:`from_pretrained` loads the trained ones.

    Shapes:
        - **images**: ``[B, 3, H, W]``, float RGB in 0..1; padded with black on the right and below to multiples of 32
        - **output**: :class:`Faces` of A cells, ``score`` [B, A], ``box`` [B, A, 4], ``points`` [B, A, 5, 2], map by
          map and within each row by row, in pixels of the input

    Example:
        >>> from skimage.data import astronaut
        >>> image = torch.from_numpy(astronaut()[:256]).permute(2, 0, 1) / 255
        >>> (faces,) = YuNet.from_pretrained().detect(image[None])
        >>> faces.points[0].round().tolist()  # eyes, nose, mouth
        [[200.0, 102.0], [247.0, 103.0], [220.0, 125.0], [199.0, 143.0], [240.0, 144.0]]
    """

    def __init__(self) -> None:
        super().__init__()
        # In the order of the ONNX graph, by which the weights are converted.
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), *_unit(16, 16), nn.ReLU(), nn.MaxPool2d(2))
        self.stages = nn.ModuleList(
            [
                nn.Sequential(_stage(16, 32), _stage(32, 64), nn.MaxPool2d(2), _stage(64, 64)),
                nn.Sequential(nn.MaxPool2d(2), _stage(64, 64)),
                nn.Sequential(nn.MaxPool2d(2), _stage(64, 64)),
            ]
        )
        self.merges = nn.ModuleList(nn.Sequential(*_unit(64, 64), nn.ReLU()) for _ in _STRIDES)  # coarsest first
        # Class, box, object and points, each for the three maps.
        self.heads = nn.ModuleList(nn.ModuleList(_unit(64, size) for _ in _STRIDES) for size in (1, 4, 1, 10))

    @classmethod
    def from_pretrained(cls) -> Self:
        """Load the trained detector, which the package ships.

        Example:
            >>> sum(p.numel() for p in YuNet.from_pretrained().parameters())
            53104
        """
        model = cls()
        model.load_state_dict(load_file(_WEIGHTS))
        return model.eval()

    def forward(self, images: Tensor) -> Faces:
        """Compute the output of every cell for a batch of pictures.

        Args:
            images: the batch.

        Raises:
            ValueError: if images have another shape or type.
        """
        if images.dim() != 4 or images.size(1) != 3 or not images.numel() or not images.is_floating_point():
            raise ValueError(f"images must be float [B, 3, H, W] in 0..1, got {images.dtype} {list(images.shape)}")
        height, width = images.shape[2:]
        x = F.pad(images.flip(1) * 255, (0, -width % _STRIDES[-1], 0, -height % _STRIDES[-1]))  # B, G, R
        x = self.stem(x.contiguous(memory_format=torch.channels_last))  # which is faster on a CPU
        maps = [x := stage(x) for stage in self.stages]
        for level, merge in zip((2, 1, 0), self.merges, strict=True):
            coarser = F.interpolate(maps[level + 1], scale_factor=2.0) if level < 2 else 0
            maps[level] = merge(maps[level] + coarser)
        levels = []
        for seen, stride, *heads in zip(maps, _STRIDES, *self.heads, strict=True):
            label, box, inside, points = (head(seen).flatten(2).transpose(1, 2) for head in heads)
            levels.append(_decode(label, box, inside, points, seen.shape[2:], stride))
        return Faces(*(torch.cat(parts, dim=1) for parts in zip(*levels, strict=True)))

    @torch.no_grad()
    def detect(self, images: Tensor, threshold: float = 0.6, overlap: float = 0.3) -> list[Faces]:
        """Find the faces of each picture of a batch.

        Args:
            images: [B, 3, H, W], float RGB in 0..1.
            threshold: lowest score.
            overlap: of two boxes whose intersection over union is larger, the one with the lower score is dropped.

        Returns:
            The faces of each picture, best score first.

        Raises:
            ValueError: if images have another shape or type.
        """
        found = self(images)
        return [_distinct(Faces(*picture), threshold, overlap) for picture in zip(*found, strict=True)]


def _unit(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, 1), nn.Conv2d(out_channels, out_channels, 3, 1, 1, groups=out_channels)
    )


def _stage(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(*_unit(channels, channels), nn.ReLU(), *_unit(channels, out_channels), nn.ReLU())


def _decode(label: Tensor, box: Tensor, inside: Tensor, points: Tensor, shape: torch.Size, stride: int) -> Faces:
    """Raw maps [B, h w, 1 or 4 or 1 or 10] in pixels."""
    rows, columns = (torch.arange(size, device=box.device) for size in shape)
    cells = torch.cartesian_prod(rows, columns).flip(1).to(box)
    score = (label.sigmoid() * inside.sigmoid()).sqrt()[..., 0]
    centre, size = (cells + box[..., :2]) * stride, box[..., 2:].exp() * stride
    spots = (cells[:, None] + points.unflatten(-1, (5, 2))) * stride
    return Faces(score, torch.cat([centre - size / 2, size], dim=-1), spots)


def _distinct(found: Faces, threshold: float, overlap: float) -> Faces:
    """Those of the cells [A] that are faces, each face once, best first."""
    order = found.score.argsort(descending=True)
    order = order[found.score[order] >= threshold]
    low, size = found.box.split(2, dim=-1)
    high, area, kept = low + size, size.prod(dim=-1), []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        shared = (high[order].minimum(high[best]) - low[order].maximum(low[best])).clamp(min=0).prod(dim=-1)
        order = order[shared <= overlap * (area[order] + area[best] - shared)]
    chosen = torch.stack(kept) if kept else order
    return Faces(*(part[chosen] for part in found))
