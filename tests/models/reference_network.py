"""The authors' inference network a second time: plain functions on a dict from the authors' names to tensors.

Written from the description of that network alone. Nothing of the package is used in it but a layout's rigid shape and
boundary matrix, so that a mistake in the package cannot be repeated here. Sizes are those of the tensors.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

State = dict[str, torch.Tensor]

HEADS = 4


def reference_forward(state: State, image: torch.Tensor, shape3d: np.ndarray, edge2point: np.ndarray) -> dict:
    """Return ``pose``, ``initial``, ``landmarks`` (a list, one a step), ``visual_field`` and ``attention``.

    Args:
        state: the authors' entries, float64.
        image: [B, 3, S, S] float64 in the order blue, green, red.
        shape3d: [L, 3], the rigid face.
        edge2point: [L, E + 1], membership of landmarks in boundaries, the last column for those of none.
    """
    field, core = _visual_cnn(state, image, torch.as_tensor(edge2point))
    pose = core @ state["pose_fc.weight"].T + state["pose_fc.bias"]
    size = field.shape[-1]
    pos = _project(shape3d, pose, size) / size
    out = {"pose": pose, "initial": pos, "visual_field": field, "landmarks": [], "attention": []}
    for t in range(3):
        side = size / 4 / 2**t
        f = _visual(state, t, field, pos, side) + _relative(state, t, pos)
        for layer in range(4):
            f, alpha = _gat(state, f"gcn.{t}.gat.{layer}", f)
            out["attention"].append(alpha)
        offset = _mlp(state, f"gcn.{t}.decoder.decoder", f)
        pos = pos + side / size / 2 * offset.clamp(-1, 1)
        out["landmarks"].append(pos)
    return out


def _numbered(state: State, pattern: str) -> Iterator[int]:
    """0, 1, 2, ... as long as the state has an entry of that number."""
    number = 0
    while pattern.format(number) in state:
        yield number
        number += 1


def _norm(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    """Batch norm over the channels, which are dimension 1."""
    mean, var, weight, bias = (
        state[f"{name}.{leaf}"].reshape(-1, *[1] * (x.dim() - 2))
        for leaf in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias


def _conv(state: State, name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
    weight = state[f"{name}.conv.weight"]
    return F.conv2d(x, weight, stride=stride, padding=(weight.shape[-1] - 1) // 2)


def _conv_norm(state: State, name: str, x: torch.Tensor, stride: int) -> torch.Tensor:
    return _norm(state, f"{name}.bn", _conv(state, name, x, stride)).relu()


def _residual(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    y = x
    for number in (1, 2, 3):
        y = _conv(state, f"{name}.conv{number}", _norm(state, f"{name}.bn{number}", y).relu())
    return y + (x if y.shape == x.shape else _conv(state, f"{name}.skip_layer", x))


def _hourglass(state: State, name: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    low = _residual(state, f"{name}.low1", _conv_norm(state, f"{name}.pool1", x, 2))
    if f"{name}.low2.up2.deconv.weight" in state:
        low, core = _hourglass(state, f"{name}.low2", low)
    else:
        low = core = _residual(state, f"{name}.low2", low)
    low = _residual(state, f"{name}.low3", low)
    up = F.conv_transpose2d(low, state[f"{name}.up2.deconv.weight"], stride=2)
    return _residual(state, f"{name}.up1", x) + _norm(state, f"{name}.up2.bn", up).relu(), core


def _visual_cnn(state: State, image: torch.Tensor, edge2point: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    batch, _, size, _ = image.shape
    ramp = torch.linspace(-1, 1, size, dtype=image.dtype)
    xx, yy = ramp[:, None].expand(size, size), ramp[None, :].expand(size, size)
    where = torch.stack([xx, yy, torch.sqrt((xx - 0.5) ** 2 + (yy - 0.5) ** 2)])
    x = torch.cat([image, where.expand(batch, 3, size, size)], dim=1)
    x = _conv_norm(state, "visual_cnn.pre.1", x, 2)
    x = _residual(state, "visual_cnn.pre.2", x)
    x = _conv_norm(state, "visual_cnn.pre.3", x, 2)
    x = _residual(state, "visual_cnn.pre.5", _residual(state, "visual_cnn.pre.4", x))
    for m in _numbered(state, "visual_cnn.hgs.{}.up2.deconv.weight"):
        merged, core = _hourglass(state, f"visual_cnn.hgs.{m}", x)
        field = _residual(state, f"visual_cnn.hgs_out.{m}.0", merged)
        field = _conv_norm(state, f"visual_cnn.hgs_out.{m}.1", field, 1)
        if f"visual_cnn.merge_preds.{m}.conv.weight" in state:
            points = torch.sigmoid(_conv(state, f"visual_cnn.outs_points.{m}.0", field))
            edges = torch.sigmoid(_conv(state, f"visual_cnn.outs_edges.{m}.0", field))
            edges = torch.cat([edges, torch.ones_like(edges[:, :1])], dim=1)
            point_edges = (edge2point @ edges.flatten(2)).reshape(points.shape).clamp(max=1)
            preds = _conv(state, f"visual_cnn.outs_features.{m}", field) * points * point_edges
            x = x + _conv(state, f"visual_cnn.merge_preds.{m}", preds)
            x = x + _conv(state, f"visual_cnn.merge_features.{m}", field)
    part = 0
    while core.shape[-1] > 1:
        core = _residual(state, f"visual_cnn.hgs_core.{m}.{part}", core)
        core = _conv_norm(state, f"visual_cnn.hgs_core.{m}.{part + 1}", core, 2)
        part += 2
    return field, core.flatten(1)


def _project(shape3d: np.ndarray, pose: torch.Tensor, size: int) -> torch.Tensor:
    """Pixels of the map [B, L, 2]."""
    yaw, pitch, roll = (-(pose[:, 0] - 90)).deg2rad(), (-pose[:, 1]).deg2rad(), (-(pose[:, 2] + 90)).deg2rad()
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)

    def matrix(*rows: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)

    c, s = yaw.cos(), yaw.sin()
    Ry = matrix([c, zero, s], [zero, one, zero], [-s, zero, c])
    c, s = pitch.cos(), pitch.sin()
    Rp = matrix([c, -s, zero], [s, c, zero], [zero, zero, one])
    c, s = roll.cos(), roll.sin()
    Rr = matrix([one, zero, zero], [zero, c, -s], [zero, s, c])
    x, y, z = (Ry @ Rp @ Rr @ torch.tensor(shape3d.T) + pose[:, 3:, None]).unbind(dim=1)
    return torch.stack([1.5 * size * x / z + size / 2, 1.5 * size * y / z + size / 2], dim=-1)


def _visual(state: State, t: int, field: torch.Tensor, pos: torch.Tensor, side: float) -> torch.Tensor:
    """What a window of ``side`` map pixels shows around each landmark [B, D, L]."""
    size, (batch, landmarks, _) = field.shape[-1], pos.shape
    theta = torch.zeros(batch * landmarks, 2, 3, dtype=pos.dtype)
    theta[:, 0, 0] = theta[:, 1, 1] = 7 / size * (side - 1) / (7 - 1)
    theta[:, :, 2] = (2 * (pos + 0.5 / size) - 1).flatten(0, 1)
    grid = F.affine_grid(theta, [batch * landmarks, 1, 7, 7], align_corners=False)
    grid = grid.reshape(batch, landmarks * 7, 7, 2)  # the windows below each other
    windows = F.grid_sample(field, grid, mode="bilinear", padding_mode="border", align_corners=False)
    weight, bias = state[f"conv_window.{t}.weight"], state[f"conv_window.{t}.bias"]
    return F.conv2d(windows, weight, bias, stride=7)[..., 0]


def _relative(state: State, t: int, pos: torch.Tensor) -> torch.Tensor:
    """Embedded displacements to all other landmarks [B, D, L]."""
    batch, landmarks, _ = pos.shape
    displacement = pos[:, :, None] - pos[:, None, :]
    others = displacement[:, ~torch.eye(landmarks, dtype=torch.bool)]
    return _mlp(state, f"shape_encoder.{t}.encoder", others.reshape(batch, landmarks, -1).mT)


def _linear(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.conv1d(x, state[f"{name}.weight"], state[f"{name}.bias"])


def _mlp(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    """Linear maps (numbers 0, 3, ...) of [B, C, L], norm (1, 4, ...) and ReLU between them. [B, L, 2] for points."""
    index = 0
    while f"{name}.{index + 1}.weight" in state:
        x = _norm(state, f"{name}.{index + 1}", _linear(state, f"{name}.{index}", x)).relu()
        index += 3
    x = _linear(state, f"{name}.{index}", x)
    return x.mT if x.shape[1] == 2 else x


def _gat(state: State, name: str, f: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One layer on [B, C, L], and its attention [B, heads, L, L]."""
    q, k, v = (
        _linear(state, f"{name}.attention.attn.proj.{part}", f).unflatten(1, (-1, HEADS)) for part in range(3)
    )  # [B, d, heads, L]: channel c belongs to head c mod heads
    alpha = torch.softmax(torch.einsum("bdhi,bdhj->bhij", q, k) / math.sqrt(q.shape[1]), dim=-1)
    weighted = torch.einsum("bhij,bdhj->bdhi", alpha, v).flatten(1, 2)
    message = _linear(state, f"{name}.attention.attn.merge", weighted)
    skip = _linear(state, f"{name}.reshape.0", f) if f"{name}.reshape.0.weight" in state else f
    return skip + _mlp(state, f"{name}.attention.mlp", torch.cat([f, message], dim=1)), alpha
