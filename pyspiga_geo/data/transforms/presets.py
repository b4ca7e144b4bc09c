"""Published augmentation settings."""

from torch_geometric.transforms import Compose

from pyspiga_geo.data.transforms.crop import RandomAffine, RandomFlip, Resample, SquareCrop
from pyspiga_geo.data.transforms.occlusion import RandomOcclusion
from pyspiga_geo.data.transforms.photometric import RandomBlur, RandomLighting
from pyspiga_geo.layouts import Layout

_CROP = 1.6


def reference_augmentation(layout: Layout, resolution: int = 256) -> Compose:
    """From a photo to a random crop with the settings of the authors' loader (github.com/andresprados/SPIGA).

    Flip 0.5; rotation +-45 degrees; scale +-0.15; shift +-0.05 of the box; always a rectangle of 0.1 to 0.4 of the
    box's sides before the face and hue, saturation and value times 1 +- 0.5; blur with probability 0.5; crop 1.6 x box.

    Two things differ. The authors rotate and scale the box along with the face and crop around its upright
    hull: so their scale cancels out and rotated faces come out smaller. Here the scale has an effect, and rotation does
    not change the size of a face. And they blur the photo, with kernels of 1, 3 or 5 pixels (sigma 0, 0.8 or 1.1); here
    the crop is blurred, with a sigma between 0.1 and 1.1 crop pixels.

    Args:
        layout: whose mirror order to use.
        resolution: side of the crop in pixels.

    Returns:
        The transform.

    Raises:
        ImportError: if kornia is not installed.

    Example:
        >>> import torch
        >>> from pyspiga_geo import get_layout
        >>> from pyspiga_geo.data import SyntheticFaces
        >>> layout = get_layout("ibug68")
        >>> faces = SyntheticFaces(layout, transform=reference_augmentation(layout, resolution=128))
        >>> faces[0].image.shape
        torch.Size([3, 128, 128])
    """
    return Compose(
        [
            SquareCrop(resolution, _CROP),
            RandomFlip(resolution, layout, p=0.5),
            RandomAffine(resolution, degrees=45, scale=0.15, shift=0.05 / _CROP),
            Resample(resolution),
            RandomOcclusion(resolution, size=(0.1, 0.4)),
            RandomLighting(0.5),
            RandomBlur(sigma=(0.1, 1.1), p=0.5),
        ]
    )
