"""What stands in the authors' files: the names and shapes of all entries, and values for them.

Written from the description of that network alone, as ``reference_network.py`` is.
"""

import math
import zlib
from itertools import pairwise

import numpy as np
import torch

State = dict[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]

SMALL = {
    "image_size": 128,
    "channels": 32,
    "num_stacks": 2,
    "depth": 3,
    "node_channels": 48,
    "hidden_channels": 32,
}
"""A network that takes a second, with everything the big one has; overrides of the preset ``reference``."""


def reference_shapes(
    num_landmarks: int,
    num_boundaries: int,
    image_size: int = 256,
    channels: int = 256,
    num_stacks: int = 4,
    depth: int = 4,
    node_channels: int = 512,
    hidden_channels: int = 256,
) -> Shapes:
    """Every entry of the authors' state dict, the constant ones included."""
    size, C, L, E = image_size // 4, channels, num_landmarks, num_boundaries
    shapes: Shapes = {
        "diagonal_mask": (L, L),
        "visual_cnn.pre.0.xx_channel": (1, 1, image_size, image_size),
        "visual_cnn.pre.0.yy_channel": (1, 1, image_size, image_size),
        "visual_cnn.E2Ptransform.ones": (1, size, size),
        "visual_cnn.E2Ptransform.edge2point": (L, E + 1),
        "pose_fc.weight": (6, C),
        "pose_fc.bias": (6,),
    }

    def norm(name: str, width: int) -> None:
        shapes.update({f"{name}.{leaf}": (width,) for leaf in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    def conv(name: str, i: int, o: int, kernel: int = 1) -> None:
        shapes[f"{name}.conv.weight"] = (o, i, kernel, kernel)

    def conv_norm(name: str, i: int, o: int, kernel: int) -> None:
        conv(name, i, o, kernel)
        norm(f"{name}.bn", o)

    def residual(name: str, i: int, o: int) -> None:
        for number, (before, after, kernel) in enumerate([(i, o // 2, 1), (o // 2, o // 2, 3), (o // 2, o, 1)], 1):
            norm(f"{name}.bn{number}", before)
            conv(f"{name}.conv{number}", before, after, kernel)
        conv(f"{name}.skip_layer", i, o)

    def hourglass(name: str, n: int) -> None:
        for part in ("up1", "low1", "low3"):
            residual(f"{name}.{part}", C, C)
        conv_norm(f"{name}.pool1", C, C, 2)
        hourglass(f"{name}.low2", n - 1) if n > 1 else residual(f"{name}.low2", C, C)
        shapes[f"{name}.up2.deconv.weight"] = (C, C, 2, 2)
        norm(f"{name}.up2.bn", C)

    def linear(name: str, i: int, o: int) -> None:
        shapes.update({f"{name}.weight": (o, i, 1), f"{name}.bias": (o,)})

    def mlp(name: str, *widths: int) -> None:
        for index, (i, o) in enumerate(pairwise(widths)):
            linear(f"{name}.{3 * index}", i, o)
            if index < len(widths) - 2:
                norm(f"{name}.{3 * index + 1}", o)

    conv_norm("visual_cnn.pre.1", 6, C // 4, 7)
    residual("visual_cnn.pre.2", C // 4, C // 2)
    conv_norm("visual_cnn.pre.3", C // 2, C // 2, 2)
    residual("visual_cnn.pre.4", C // 2, C // 2)
    residual("visual_cnn.pre.5", C // 2, C)
    for m in range(num_stacks):
        hourglass(f"visual_cnn.hgs.{m}", depth)
        residual(f"visual_cnn.hgs_out.{m}.0", C, C)
        conv_norm(f"visual_cnn.hgs_out.{m}.1", C, C, 1)
        for halving in range(int(math.log2(size >> depth))):
            residual(f"visual_cnn.hgs_core.{m}.{2 * halving}", C, C)
            conv_norm(f"visual_cnn.hgs_core.{m}.{2 * halving + 1}", C, C, 2)
    for m in range(num_stacks - 1):
        conv(f"visual_cnn.outs_points.{m}.0", C, L)
        conv(f"visual_cnn.outs_edges.{m}.0", C, E)
        conv(f"visual_cnn.outs_features.{m}", C, L)
        conv(f"visual_cnn.merge_preds.{m}", L, C)
        conv(f"visual_cnn.merge_features.{m}", C, C)
    for t in range(3):
        shapes[f"theta_S.{t}"] = (2, 2)
        shapes[f"conv_window.{t}.weight"] = (node_channels, C, 7, 7)
        shapes[f"conv_window.{t}.bias"] = (node_channels,)
        mlp(f"shape_encoder.{t}.encoder", 2 * (L - 1), 256, 256, node_channels)
        i = node_channels
        for layer in range(4):
            name = f"gcn.{t}.gat.{layer}"
            if i != hidden_channels:
                linear(f"{name}.reshape.0", i, hidden_channels)
            for part in ("proj.0", "proj.1", "proj.2", "merge"):
                linear(f"{name}.attention.attn.{part}", i, i)
            mlp(f"{name}.attention.mlp", 2 * i, 2 * i, hidden_channels)
            i = hidden_channels
        mlp(f"gcn.{t}.decoder.decoder", i, i, i // 2, i // 4, i // 8, 2)
    return shapes


def is_constant(name: str) -> bool:
    """Whether an entry holds nothing learned."""
    constants = ("diagonal_mask", "theta_S.", "visual_cnn.pre.0.", "visual_cnn.E2Ptransform.")
    return name.startswith(constants) or name.endswith(".num_batches_tracked")


def named_values(shapes: Shapes) -> State:
    """Values that depend on an entry's name alone, of a size that keeps signals alive from layer to layer."""
    return {name: torch.as_tensor(_value(name, shape)) for name, shape in shapes.items()}


def _value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    if name == "pose_fc.bias":  # a face that looks a little aside, at a distance at which the map holds it
        return np.array([8.0, 5.0, -7.0, -0.05, 0.08, 3.2])
    if leaf == "running_var" or (leaf == "weight" and len(shape) == 1):
        return draw.uniform(0.6, 1.4, shape)
    spread = 0.1 if len(shape) < 2 else math.prod(shape[1:]) ** -0.5
    if name == "pose_fc.weight":
        spread *= 0.2
    if ".decoder." in name and shape[0] == 2:  # some offsets reach their bound
        spread *= 2
    if ".attn.proj.0." in name:  # queries that tell the keys apart
        spread *= 3
    return draw.normal(0.0, spread, shape)
