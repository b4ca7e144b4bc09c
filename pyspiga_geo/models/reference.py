"""The authors' state dict (github.com/andresprados/SPIGA), name by name, in both directions."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pyspiga_geo.backbones.hourglass import Residual
from pyspiga_geo.layouts import IBUG68, WFLW98, Layout
from pyspiga_geo.models.config import make_config
from pyspiga_geo.nn import LandmarkAttention

_CONSTANTS = re.compile(
    r"diagonal_mask|theta_S\.\d+|visual_cnn\.(pre\.0\.(xx|yy)_channel|E2Ptransform\.(ones|edge2point))"
)
"""Entries that carry nothing learned: welcome, but not needed."""

_BUILD: tuple[str, ...] = (
    "backbone",
    "start",
    "channel_order",
    "conv",
    "heads",
    "position",
    "norm",
    "share_steps",
    "bound",
)
_BUILD += ("include_self", "scale", "out_proj", "heatmap_windows")
"""Settings that the authors' network has in one way only; others are sizes."""

_RENAMES = [
    (r"backbone\.stacks\.(\d+)\.hourglass\.", r"visual_cnn.hgs.\1."),
    (r"backbone\.stacks\.(\d+)\.out\.", r"visual_cnn.hgs_out.\1."),
    (r"backbone\.stacks\.(\d+)\.core\.", r"visual_cnn.hgs_core.\1."),
    (r"backbone\.stacks\.(\d+)\.landmarks\.points\.", r"visual_cnn.outs_points.\1.0.conv."),
    (r"backbone\.stacks\.(\d+)\.landmarks\.boundaries\.", r"visual_cnn.outs_edges.\1.0.conv."),
    (r"backbone\.stacks\.(\d+)\.landmarks\.maps\.", r"visual_cnn.outs_features.\1.conv."),
    (r"backbone\.stacks\.(\d+)\.merge_heatmaps\.", r"visual_cnn.merge_preds.\1.conv."),
    (r"backbone\.stacks\.(\d+)\.merge_features\.", r"visual_cnn.merge_features.\1.conv."),
    (r"backbone\.stacks\.\d+\.pose\.", r"pose_fc."),
    (r"cascade\.steps\.(\d+)\.visual\.lin\.", r"conv_window.\1."),
    (r"cascade\.steps\.(\d+)\.relative\.mlp\.", r"shape_encoder.\1.encoder."),
    (r"cascade\.steps\.(\d+)\.decoder\.", r"gcn.\1.decoder.decoder."),
    (r"cascade\.steps\.(\d+)\.blocks\.(\d+)\.skip\.", r"gcn.\1.gat.\2.reshape.0."),
    (r"cascade\.steps\.(\d+)\.blocks\.(\d+)\.update\.", r"gcn.\1.gat.\2.attention.mlp."),
    (r"cascade\.steps\.(\d+)\.blocks\.(\d+)\.conv\.lin_query\.", r"gcn.\1.gat.\2.attention.attn.proj.0."),
    (r"cascade\.steps\.(\d+)\.blocks\.(\d+)\.conv\.lin_key\.", r"gcn.\1.gat.\2.attention.attn.proj.1."),
    (r"cascade\.steps\.(\d+)\.blocks\.(\d+)\.conv\.lin_value\.", r"gcn.\1.gat.\2.attention.attn.proj.2."),
    (r"cascade\.steps\.(\d+)\.blocks\.(\d+)\.conv\.lin_out\.", r"gcn.\1.gat.\2.attention.attn.merge."),
    (r"(conv[123])\.weight$", r"\1.conv.weight"),
    (r"\.skip\.weight$", r".skip_layer.conv.weight"),
]
"""Our name -> the authors', tried in order; what does not match is kept."""


def _reference_name(name: str) -> str:
    # The authors' stem starts with the coordinate channels, their MLPs count the activations too.
    name = re.sub(r"^backbone\.stem\.(\d+)\.", lambda m: f"visual_cnn.pre.{int(m[1]) + 1}.", name)
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    name = re.sub(r"\.mlp\.lins\.(\d+)\.", lambda m: f".{3 * int(m[1])}.", name)
    return re.sub(r"\.mlp\.norms\.(\d+)\.module\.", lambda m: f".{3 * int(m[1]) + 1}.", name)


def _own_only(name: str, num_stacks: int) -> bool:
    """Whether the authors' inference network lacks this entry: it serves training only, or says how sure we are."""
    match = re.match(r"backbone\.stacks\.(\d+)\.(pose|landmarks)\.", name)
    if match is None:
        return name in ("shape3d", "camera") or name.startswith(("uncertainty.", "shape_prior."))
    last = int(match[1]) == num_stacks - 1
    return last if match[2] == "landmarks" else not last


def _unused_skips(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of skips that the authors store also where a residual keeps its width."""
    return {
        _reference_name(f"{name}.skip.weight"): (block.conv3.out_channels, block.conv1.in_channels, 1, 1)
        for name, block in model.named_modules()
        if isinstance(block, Residual) and isinstance(block.skip, nn.Identity)
    }


def _gather_heads(value: Tensor, name: str, heads: int) -> Tensor:
    """The authors give channel c to head c mod heads, we give each head a contiguous group."""
    if re.search(r"\.conv\.lin_(query|key|value)\.", name):
        return value.unflatten(0, (-1, heads)).transpose(0, 1).flatten(0, 1)
    if name.endswith(".conv.lin_out.weight"):
        return value.unflatten(1, (-1, heads)).transpose(1, 2).flatten(1, 2)
    return value


def _deal_heads(value: Tensor, name: str, heads: int) -> Tensor:
    """Back again: the same, the channels of a head in the place of the heads."""
    return _gather_heads(value, name, len(value) // heads) if value.dim() else value


def layout_of(state_dict: Mapping[str, Tensor]) -> Layout:
    """Which of the authors' two layouts their weights are for, told by the number of landmarks.

    Raises:
        ValueError: when the entries do not tell it.
    """
    name = "visual_cnn.outs_points.0.0.conv.weight"
    heatmaps = state_dict.get(name)
    if heatmaps is None or not heatmaps.dim():
        raise ValueError(f"not the state dict of the reference network: it has no {name!r} with a row per landmark")
    for layout in (IBUG68, WFLW98):
        if len(layout) == len(heatmaps):
            return layout
    raise ValueError(f"not the state dict of the reference network: no layout fits its {len(heatmaps)} landmarks")


def translate(model: nn.Module, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A full state dict for ``model`` with the authors' weights in our names and order of channels.

    Args:
        model: a SPIGA of preset ``"reference"``.
        state_dict: the authors' entries, with or without the constant ones.

    Returns:
        Entries for ``model.load_state_dict``; those that the authors lack keep the model's values.

    Raises:
        ValueError: listing every unknown, missing or misshapen entry.
    """
    own = model.state_dict()
    taken, heads, skips = _taken(own), _heads(model), _unused_skips(model)
    known = {*taken.values(), *skips}

    problems = [f"unknown {name}" for name in state_dict if name not in known and not _CONSTANTS.fullmatch(name)]
    problems += [
        f"missing {name}"
        for name in (*taken.values(), *skips)
        if name not in state_dict and not name.endswith(".num_batches_tracked")
    ]
    problems += [
        f"misshapen {name} {list(state_dict[name].shape)}, expected {list(shape)}"
        for name, shape in skips.items()
        if name in state_dict and tuple(state_dict[name].shape) != shape
    ]
    translated = dict(own)
    for name, theirs in taken.items():
        value = state_dict.get(theirs)
        if value is None:
            continue
        if not _same_shape(theirs, value, own[name]):
            problems.append(f"misshapen {theirs} {list(value.shape)}, expected the numbers of {list(own[name].shape)}")
            continue
        translated[name] = _gather_heads(value.reshape(own[name].shape), name, heads).to(own[name])
    if problems:
        raise ValueError(
            f"not the state dict of the reference network: {len(problems)} entries: " + "; ".join(problems)
        )
    return translated


def export(model: nn.Module) -> dict[str, Tensor]:
    """The authors' state dict of a model: the inverse of :func:`translate`.

    Heads that serve training only are left out, as their inference network lacks them, and so are the entries that
    carry nothing learned, which their network makes itself: load it there with ``strict=False``.

    Args:
        model: a SPIGA of preset ``"reference"``.

    Returns:
        New tensors in the authors' names, shapes and order of channels, in the precision of the model.

    Raises:
        ValueError: for a model of another build, which their network cannot be filled with.

    Example:
        >>> from pyspiga_geo import SPIGA
        >>> model = SPIGA.from_preset("reference", channels=16, num_stacks=2, node_channels=32, hidden_channels=32)
        >>> export(model)["conv_window.0.weight"].shape
        torch.Size([32, 16, 7, 7])
    """
    own, reference = model.state_dict(), make_config("reference")
    config: Any = getattr(model, "config", None)
    other = [name for name in _BUILD if getattr(config, name, None) != getattr(reference, name)]
    if other:
        raise ValueError(f"not a model of preset 'reference': it differs in {', '.join(other)}")
    exported, heads = {}, _heads(model)
    for name, theirs in _taken(own).items():
        value = _deal_heads(own[name], name, heads)
        if theirs.startswith("conv_window.") and value.dim() == 2:  # over a whole window
            value = value.unflatten(1, (-1, config.samples, config.samples))
        elif value.dim() == 2 and theirs != "pose_fc.weight":
            value = value[..., None]
        exported[theirs] = value.clone(memory_format=torch.contiguous_format)
    some = own["backbone.stem.0.conv.weight"]
    return exported | {name: some.new_zeros(shape) for name, shape in _unused_skips(model).items()}


def _taken(own: Mapping[str, Tensor]) -> dict[str, str]:
    """Our names of what both networks have -> the authors'."""
    stacks = {name.split(".")[2] for name in own if name.startswith("backbone.stacks.")}
    return {name: _reference_name(name) for name in own if not _own_only(name, len(stacks))}


def _heads(model: nn.Module) -> int:
    return next((m.heads for m in model.modules() if isinstance(m, LandmarkAttention)), 1)


def _same_shape(name: str, theirs: Tensor, ours: Tensor) -> bool:
    """Equal, but where the authors write a linear map as a convolution: out x in x 1, or over a whole window."""
    if ours.dim() == 2 and name.startswith("conv_window."):
        return theirs.dim() == 4 and theirs.size(2) == theirs.size(3) and theirs.flatten(1).shape == ours.shape
    if ours.dim() == 2 and name != "pose_fc.weight" and theirs.dim() == 3:
        return theirs.shape == (*ours.shape, 1)
    return theirs.shape == ours.shape
