"""Changes of light, colour and sharpness: landmarks stay where they are. Kornia (extra ``train``) does the work."""

import math
from types import ModuleType

import torch
from torch import Tensor, nn
from torch_geometric.transforms import BaseTransform

from pyspiga_geo.graph import FaceData


def _kornia() -> ModuleType:
    """Kornia, loaded where it is first needed: it is no dependency of the package itself."""
    try:
        import kornia
    except ImportError as error:
        raise ImportError(
            "changes of light, colour and sharpness need kornia: pip install 'pyspiga-geo[train]'"
        ) from error
    return kornia


class Photometric(BaseTransform):
    """Change the picture by a module that works on batches, such as a photometric augmentation of kornia.

    Args:
        module: takes and gives images [B, 3, H, W] in 0..1; pixels keep their place.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def forward(self, data: FaceData) -> FaceData:
        """Change ``image``."""
        data.image = self.module(data.image[None])[0]
        return data


class RandomColorJitter(Photometric):
    """Change brightness, contrast, saturation and hue in random order, nine times in ten; then perhaps to grey.

    Args:
        change: largest relative change of brightness, contrast and saturation.
        hue: largest change of hue, as a share of the colour circle.
        grey: probability of a grey picture.
    """

    def __init__(self, change: float = 0.3, hue: float = 0.03, grey: float = 0.15) -> None:
        K = _kornia().augmentation
        super().__init__(nn.Sequential(K.ColorJitter(change, change, change, hue, p=0.9), K.RandomGrayscale(p=grey)))


class RandomLighting(Photometric):
    """Multiply hue, saturation and value by random factors, each uniform in 1 - change .. 1 + change.

    Hue counts from red (0) over green and blue back to red (1), and what would come after is red, as in the authors'
    loader. So most skin, near 0, stays skin; very pink skin, near 1, turns blue or violet in patches.

    Args:
        change: largest relative change.
    """

    def __init__(self, change: float = 0.5) -> None:
        _kornia()
        super().__init__(_ScaleHSV(change))


class _ScaleHSV(nn.Module):
    def __init__(self, change: float) -> None:
        super().__init__()
        self.change = change

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W], each with factors of its own."""
        color = _kornia().color
        factors = 1 + self.change * (2 * torch.rand(len(images), 3, 1, 1) - 1)
        largest = torch.tensor([2 * math.pi, 1, 1]).view(3, 1, 1)
        scaled = color.rgb_to_hsv(images) * factors.to(images)
        return color.hsv_to_rgb(scaled.minimum(largest.to(images)))


class RandomBlur(Photometric):
    """Blur by a Gaussian (5 x 5 pixels) with probability p.

    Args:
        sigma: smallest and largest standard deviation in pixels.
        p: probability.
    """

    def __init__(self, sigma: tuple[float, float] = (0.5, 1.5), p: float = 0.5) -> None:
        K = _kornia().augmentation
        super().__init__(K.RandomGaussianBlur((5, 5), sigma, p=p, separable=False))
