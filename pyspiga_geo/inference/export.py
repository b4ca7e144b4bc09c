"""Export of a model to one file that runs without this package."""

import copy
import json
import logging
import os
import warnings
from importlib.metadata import version
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.models import SPIGA, MeanShape, PosedShape
from pyspiga_geo.models.fold import fold_batch_norm

__all__ = ["Format", "export_model"]

Format = Literal["onnx", "torch-export"]
"""A file for onnxruntime and other runtimes; or one for :func:`torch.export.load`."""

ENDINGS: dict[Format, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
"""Suffix of each kind of file."""

OUTPUTS = ("landmarks", "pose", "covariance", "visible")
"""Fields of :class:`~pyspiga_geo.models.SPIGAOutput` that a graph returns, if the model has them."""

FORMAT = "pyspiga_geo.export"
"""Value of ``format`` in the metadata of the files that are written here."""


def export_model(model: SPIGA, path: str | os.PathLike[str], format: Format = "onnx") -> None:
    """Write a model as one graph with a dynamic batch, in single precision.

    Its input is ``images`` [B, 3, S, S], float RGB in 0..1 (the network's channel order is inside the graph), its
    outputs are ``landmarks`` [B, L, 2], normalised crop coordinates (pixel index / resolution); ``pose`` [B, 6] if
    the model estimates it; ``covariance`` [B, L, 2, 2] and ``visible`` [B, L] if the model has an uncertainty head. The
    metadata hold what :class:`~pyspiga_geo.inference.FaceAligner` needs to crop faces and to name landmarks:
    ``layout``, ``image_size``, ``crop_scale``, ``channel_order``, ``start`` and ``version``, each a JSON text. In a
    file for :func:`torch.export.load` they are its extra file ``metadata.json``.

    Args:
        model: any model; it is not changed.
        path: the file, ending in ``.onnx`` or ``.pt2``; written under a temporary name first.
        format: ``"onnx"``, which needs the extra ``onnx``, or ``"torch-export"``.

    Raises:
        ValueError: for an unknown format, another ending, or if the extra is missing.
        OSError: if the file cannot be written.

    Example:
        >>> model = SPIGA.from_preset("compact", image_size=64, channels=16, num_stacks=1)
        >>> export_model(model, "small.onnx")  # doctest: +SKIP
        >>> export_model(model, "small.onnx", format="torch-export")
        Traceback (most recent call last):
        ValueError: small.onnx: the name of a file in the format torch-export must end in .pt2
    """
    check_format(path, format)
    graph = _Graph(model).eval()
    size = model.config.image_size
    images = torch.zeros(2, 3, size, size)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        names = list(graph(images))
        program = torch.export.export(graph, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
        if format == "torch-export":
            with atomic_path(path) as temporary:
                torch.export.save(program, temporary, extra_files={"metadata.json": json.dumps(metadata_of(model))})
            return
        exporter = logging.getLogger("torch.onnx")
        level = exporter.level
        exporter.setLevel(logging.ERROR)  # it tells of packages that it would have liked
        try:
            program = program.run_decompositions({torch.ops.aten.linalg_solve.default: _eliminated})
            onnx = torch.onnx.export(program, dynamo=True, verbose=False, input_names=["images"], output_names=names)
        finally:
            exporter.setLevel(level)
    assert onnx is not None  # as with dynamo=True
    onnx.model.metadata_props.update(metadata_of(model))
    with atomic_path(path) as temporary:
        onnx.save(temporary, external_data=False)


def check_format(path: str | os.PathLike[str], format: str) -> None:
    """Raise ValueError unless the format is known, the path ends as it should, and what is needed is installed."""
    if format not in ENDINGS:
        raise ValueError(f"format must be one of {', '.join(ENDINGS)}, got {format!r}")
    if not os.fspath(path).endswith(ENDINGS[format]):
        raise ValueError(f"{path}: the name of a file in the format {format} must end in {ENDINGS[format]}")
    if format == "onnx":
        try:
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise ValueError(f"ONNX needs more packages: pip install 'pyspiga-geo[onnx]' ({error})") from error


def metadata_of(model: SPIGA) -> dict[str, str]:
    """Facts about the model that the graph does not hold, as JSON texts."""
    start: dict[str, Any] | None = None  # one of the user's own
    if isinstance(model.start, PosedShape):
        start = {name: getattr(model.start, name).tolist() for name in ("shape3d", "camera")}
        start["map_size"] = model.start.map_size
    elif isinstance(model.start, MeanShape):
        start = {"mean": model.start.mean.tolist()}
    values = {
        "version": version("pyspiga-geo"),
        "layout": model.layout.to_dict(),
        "image_size": model.config.image_size,
        "crop_scale": model.config.crop_scale,
        "channel_order": "rgb",
        "start": start,
    }
    return {"format": FORMAT} | {name: json.dumps(value) for name, value in values.items()}


def _eliminated(matrices: Tensor, right: Tensor, **_: Any) -> Tensor:
    """Solve with positive definite matrices [B, K, K], by elimination: ONNX has no operator that solves."""
    count = matrices.size(-1)
    rows = torch.cat([matrices, right], dim=-1)
    for unit, longer in zip(torch.eye(count), torch.eye(rows.size(-1)), strict=False):
        # Products with unit vectors: as indices, they would be many more nodes of the graph.
        row = unit[None] @ rows
        row = row / (row @ longer[:, None])
        rows = rows - (rows @ longer[:, None] - unit[:, None]) * row
    return rows[..., count:]


class _Graph(nn.Module):
    """What is exported."""

    def __init__(self, model: SPIGA) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).cpu().float().eval()
        fold_batch_norm(self.model)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The outputs that the model has, by name."""
        out = self.model(images)
        outputs = {name: getattr(out, name) for name in OUTPUTS}
        return {name: value for name, value in outputs.items() if value is not None}
