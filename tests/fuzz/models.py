"""Weights, the authors' checkpoints and configurations of training."""

import io
import json
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from fuzz.kind import Kind, Prepared
from fuzz.mutations import mutate_bytes, mutate_json, mutate_yaml
from pyspiga_geo import SPIGA
from pyspiga_geo.cli.arguments import parser, refuse_code_in
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models.checkpoint import read_reference
from pyspiga_geo.models.reference import export, layout_of
from pyspiga_geo.training import TrainConfig

TINY: dict[str, Any] = {"image_size": 32, "channels": 8, "num_stacks": 1, "depth": 1, "num_steps": 2, "num_layers": 1}
TINY |= {"heads": 2, "node_channels": 8, "hidden_channels": 8, "samples": 2}


@cache
def tiny_model(**changes: Any) -> SPIGA:
    torch.manual_seed(0)
    return SPIGA.from_preset("compact", **{**TINY, **changes}).eval()


# ---- weights of this package


def _weights(folder: Path) -> Prepared:
    path = folder / "model.safetensors"
    shape = np.arange(15.0).reshape(5, 3) ** 2 % 7
    own = Layout("own", (1, 2, 7, 12, 300), flip=(1, 0, 3, 2, 4), contours={"nose": (0, 1)}, shape3d=shape)
    valid = []
    for model in (
        SPIGA.from_preset("compact", own, **TINY),
        SPIGA.from_preset("paper", own, **TINY, position="learned", share_steps=True, window=(0.5, 0.25)),
        SPIGA.from_preset("compact", own, **{**TINY, "conv": "gatv2", "heads": 1}, start="mean"),
    ):
        model.save(path, half=bool(valid))
        valid.append(path.read_bytes())

    def read(content: bytes) -> None:
        path.write_bytes(content)
        model = SPIGA.from_pretrained(path)
        size = model.config.image_size
        if size <= 128:
            model(torch.zeros(1, 3, size, size))

    return Prepared(valid, read)


def mutate_weights(random: np.random.Generator, valid: Sequence[bytes]) -> bytes:
    """A changed header: what it says of the tensors, of the configuration, or of the layout; or changed bytes."""
    content = valid[random.integers(len(valid))]
    part = random.integers(5)
    if part == 0:
        return mutate_bytes(random, valid)
    length = int.from_bytes(content[:8], "little")
    header, tensors = content[8 : 8 + length], content[8 + length :]
    if part == 1:
        header = mutate_json(random, [header])
    else:
        parts = json.loads(header)
        name = "layout" if part == 2 else "config"
        changed = mutate_json(random, [parts["__metadata__"][name].encode()])
        parts["__metadata__"][name] = changed.decode("utf-8", "replace")
        header = json.dumps(parts).encode()
    return len(header).to_bytes(8, "little") + header + tensors


# ---- the authors' checkpoints

_SIZES = {"image_size": 64, "channels": 8, "num_stacks": 2, "depth": 2, "node_channels": 16, "hidden_channels": 8}


def _saved(content: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def _checkpoint(folder: Path) -> Prepared:
    path = folder / "authors.pt"
    models = {name: SPIGA.from_preset("reference", name, **_SIZES) for name in ("ibug68", "wflw98")}
    state = export(models["ibug68"]) | {"theta_S.0": torch.eye(2)}
    first = "visual_cnn.outs_points.0.0.conv.weight"
    few = {name: state[name] for name in (first, *list(state)[:5])}

    def read(content: bytes) -> None:
        path.write_bytes(content)
        found = read_reference(path)
        try:
            models[layout_of(found).name].load_reference_state_dict(found)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error  # as reference_model does

    valid = [_saved(state), _saved(few), _saved(few, _use_new_zipfile_serialization=False)]
    for odd in (
        torch.zeros(68, 8, 1, 1).to_sparse(),
        torch.zeros(68, 8, 1, 1, device="meta"),
        torch.zeros(68, 8, 1, 1, dtype=torch.complex64),
        torch.zeros(68, 8, 1, 1, dtype=torch.float8_e5m2),
        torch.quantize_per_tensor(torch.zeros(68, 8, 1, 1), 0.1, 0, torch.qint8),
        torch.nested.nested_tensor([torch.zeros(3), torch.zeros(2)]),
        torch.full((68, 8, 1, 1), torch.nan),
        torch.zeros(68, 8, 1, 1, dtype=torch.bool),
        torch.zeros(1).expand(68, 8, 1, 1),
        torch.nn.Parameter(torch.zeros(68, 8, 1, 1)),
        torch.zeros(()),
        torch.zeros(68, 0),
        [1, 2],
    ):
        for name in (first, "pose_fc.bias", "theta_S.0", "visual_cnn.pre.1.bn.num_batches_tracked"):
            valid.append(_saved(few | {name: odd}))
    return Prepared(valid, read)


def mutate_checkpoint(random: np.random.Generator, valid: Sequence[bytes]) -> bytes:
    """The file as it is, changed bytes, or a changed pickle in a sound archive."""
    if random.random() < 0.5:
        valid = valid[:3]  # those with odd tensors are the larger part
    content = valid[random.integers(len(valid))]
    way = random.random()
    if way < 0.2:
        return content
    if way < 0.5 or not content.startswith(b"PK"):
        return mutate_bytes(random, [content])
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(stream, "w") as changed:
        for name in archive.namelist():
            part = archive.read(name)
            changed.writestr(name, mutate_bytes(random, [part]) if name.endswith("data.pkl") else part)
    return stream.getvalue()


# ---- configurations of training


def _configuration(folder: Path) -> Prepared:
    path = folder / "run.yaml"
    program = parser()
    shipped = Path(__import__("pyspiga_geo.training").__file__).parent / "training" / "configs"
    given = {"annotations": "synthetic", "out": str(folder / "run")}
    valid = [
        *({**yaml.safe_load(file.read_text()), **given} for file in sorted(shipped.glob("*.yaml"))),
        {**given, "model": {"channels": 16, "window": [0.5, 0.25], "conv": "gcn", "backbone_options": {"a": 1}}},
        {
            **given,
            "augmentation": {"occlusion_size": [0.1, 0.5], "blur_sigma": [0.5, 1.5]},
            "devices": "0,1",
            "workers": 0,
        },
        {**given, "dataset": "wflw", "split": "train", "weights": "compact", "skip_bad": True, "imagenet": True},
    ]

    def read(content: bytes) -> None:
        path.write_bytes(content)
        arguments = ["train", "--config", str(path)]
        refuse_code_in(arguments)
        found = program.instantiate(program.parse_args(arguments))["train"]
        TrainConfig(**{name: value for name, value in vars(found).items() if name != "config"})

    return Prepared([json.dumps(each).encode() for each in valid], read, named=False)


KINDS = [
    Kind("weights", 15, _weights, mutate_weights),
    Kind("checkpoint", 30, _checkpoint, mutate_checkpoint),
    Kind("configuration", 20, _configuration, mutate_yaml),
]
