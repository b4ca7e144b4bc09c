"""Changes of light, colour and sharpness, which do not move landmarks. They use kornia (extra ``train``)."""

import math
from types import ModuleType

import torch
from torch import Tensor, nn
from torch_geometric.transforms import BaseTransform

from pyspiga_geo.graph import FaceData


def _kornia() -> ModuleType:
    """Kornia, imported on demand: it is no dependency of the package itself."""
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
        module: maps images [B, 3, H, W] in 0..1 to images; pixels keep their positions.

    Example:
        >>> face = FaceData(image=torch.rand(3, 64, 64), pos=torch.rand(68, 2))
        >>> Photometric(nn.Hardtanh(0, 0.5))(face).image.max()
        tensor(0.5000)
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def forward(self, data: FaceData) -> FaceData:
        """Change ``image``.

        Args:
            data: a face with ``image``.

        Returns:
            The same object.
        """
        data.image = self.module(data.image[None])[0]
        return data


class RandomColorJitter(Photometric):
    """Change brightness, contrast, saturation and hue in random order, with probability 0.9; then perhaps convert to
    grey.

    Args:
        change: largest relative change of brightness, contrast and saturation.
        hue: largest change of hue, as a fraction of the colour circle.
        grey: probability of a grey picture.

    Raises:
        ImportError: if kornia is not installed.

    Example:
        >>> face = FaceData(image=torch.rand(3, 64, 64), pos=torch.rand(68, 2))
        >>> image = RandomColorJitter(grey=1.0)(face).image
        >>> image.shape, bool(torch.allclose(image[0], image[1], atol=1e-5))
        (torch.Size([3, 64, 64]), True)
    """

    def __init__(self, change: float = 0.3, hue: float = 0.03, grey: float = 0.15) -> None:
        K = _kornia().augmentation
        super().__init__(nn.Sequential(K.ColorJitter(change, change, change, hue, p=0.9), K.RandomGrayscale(p=grey)))


class RandomLighting(Photometric):
    """Multiply hue, saturation and value by random factors, each uniform in 1 - change .. 1 + change.

    Hue counts from red (0) over green and blue back to red (1), and is clipped at 1, as in the authors'
    loader. So most skin, near 0, stays skin; very pink skin, near 1, turns blue or violet in patches.

    Args:
        change: largest relative change.

    Raises:
        ImportError: if kornia is not installed.

    Example:
        >>> face = FaceData(image=torch.full((3, 8, 8), 0.5), pos=torch.rand(68, 2))
        >>> RandomLighting(change=0.0)(face).image.unique()
        tensor([0.5000])
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

    Raises:
        ImportError: if kornia is not installed.

    Example:
        >>> image = torch.rand(3, 64, 64)
        >>> face = RandomBlur(p=1.0)(FaceData(image=image, pos=torch.rand(68, 2)))
        >>> bool(face.image.std() < image.std())
        True
    """

    def __init__(self, sigma: tuple[float, float] = (0.5, 1.5), p: float = 0.5) -> None:
        K = _kornia().augmentation
        super().__init__(K.RandomGaussianBlur((5, 5), sigma, p=p, separable=False))
