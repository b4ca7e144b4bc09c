"""An exported model, run by onnxruntime."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyspiga_geo.backbones import BackboneOutput
from pyspiga_geo.inference.export import FORMAT
from pyspiga_geo.layouts import Layout
from pyspiga_geo.models import CheckpointError, MeanShape, PosedShape, SPIGAConfig, SPIGAOutput
from pyspiga_geo.settings import refuse_code


class OnnxModel(nn.Module):
    """A model written by :func:`~pyspiga_geo.inference.export.export_model`, called as
    :class:`~pyspiga_geo.models.SPIGA` is.

    It has the attributes ``layout``, ``config`` (of which ``image_size``, ``crop_scale`` and ``focal_ratio`` are the
    model's) and ``start``, which are read from the file. It runs in ``torch.get_num_threads()`` threads.

    Args:
        path: the file.
        device: ``"cpu"``, or ``"cuda"`` if onnxruntime supports it.

    Shapes:
        - **images**: ``[B, 3, S, S]`` float RGB in 0..1
        - **output**: :class:`~pyspiga_geo.models.SPIGAOutput` with the outputs of the file: ``landmarks``, ``pose``,
          ``covariance``, ``visible``. ``initial`` is computed from the pose (NaN if the model had a start of your
          own); ``steps`` and ``feature_map`` are empty

    Raises:
        pyspiga_geo.models.CheckpointError: if the file is missing, damaged, or was not written by this package.
        ValueError: if onnxruntime is not installed, or does not support the device.

    Example:
        >>> OnnxModel("compact.onnx")(torch.rand(1, 3, 128, 128)).landmarks.shape  # doctest: +SKIP
        torch.Size([1, 68, 2])
    """

    def __init__(self, path: str | os.PathLike[str], device: str | torch.device = "cpu") -> None:
        super().__init__()
        self.session = _session(path, torch.device(device))
        metadata = self.session.get_modelmeta().custom_metadata_map
        if metadata.get("format") != FORMAT:
            raise CheckpointError(f"{path}: not a model that `pyspiga-geo export` wrote")
        try:
            values = {name: json.loads(text) for name, text in metadata.items() if name != "format"}
            refuse_code(values)
            self.layout = Layout(**values["layout"])
            size, scale, start = values["image_size"], values["crop_scale"], values["start"] or {}
            if "camera" in start:
                focal_ratio = float(start["camera"][0][0]) / start["map_size"]
                self.config = SPIGAConfig(image_size=size, crop_scale=scale, focal_ratio=focal_ratio)
            else:
                self.config = SPIGAConfig(image_size=size, crop_scale=scale)
            self.start = _start(values["start"], self.config)
            self.outputs = _outputs(self.session, len(self.layout), self.config.image_size)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError, RuntimeError) as error:
            raise CheckpointError(f"{path}: its metadata cannot be read: {error}") from error

    @torch.no_grad()
    def forward(self, images: Tensor, edge_index: None = None, return_attention: bool = False) -> SPIGAOutput:
        """Find the landmarks of face crops.

        Raises:
            ValueError: for images of another shape, and for edges or attention, which an exported model does not
                support.
        """
        size = self.config.image_size
        if images.dim() != 4 or images.shape[1:] != (3, size, size) or not images.is_floating_point():
            raise ValueError(f"images must be float [B, 3, {size}, {size}] in 0..1, got {list(images.shape)}")
        if edge_index is not None or return_attention:
            raise ValueError("an exported model supports neither edges nor attention: use the weights file")
        pixels = images.detach().float().cpu().numpy()
        arrays = self.session.run(self.outputs, {"images": pixels})
        found: dict[str, Any] = {
            name: torch.from_numpy(array).to(images.device) for name, array in zip(self.outputs, arrays, strict=True)
        }
        landmarks, pose = found.pop("landmarks"), found.pop("pose", None)
        if self.start is None:
            initial = torch.full_like(landmarks, torch.nan)
        else:
            initial = self.start(BackboneOutput(pose, [], None)).to(landmarks).expand_as(landmarks)
        nothing = landmarks.new_zeros(len(landmarks), 0, 0, 0)
        return SPIGAOutput(landmarks, [], initial, pose, nothing, None, **found)


def _session(path: str | os.PathLike[str], device: torch.device) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(f"{path}: ONNX needs more packages: pip install 'pyspiga-geo[onnx]' ({error})") from error
    if not Path(path).is_file():
        raise CheckpointError(f"{path}: no such file")
    providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    provider: Any = providers.get(device.type)
    if provider not in onnxruntime.get_available_providers():
        raise ValueError(f"device {device} is not supported by the installed onnxruntime; for cuda: onnxruntime-gpu")
    if device.index is not None:
        provider = (provider, {"device_id": device.index})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(Path(path).read_bytes(), options, providers=[provider])
    except Exception as error:  # its kinds of error have no common name
        raise CheckpointError(f"{path}: not an ONNX model, or damaged") from error


def _start(values: Any, config: SPIGAConfig) -> nn.Module | None:
    """The module that computes x_0, from the values that ``metadata_of`` wrote."""
    if values is None:
        return None
    if "mean" in values:
        return MeanShape(torch.tensor(values["mean"]))
    start = PosedShape(values["shape3d"], values["map_size"], config.focal_ratio)
    start.load_state_dict({name: torch.tensor(values[name]) for name in ("shape3d", "camera")})
    return start


def _outputs(session: Any, num_landmarks: int, size: int) -> list[str]:
    """Names of the outputs, after a check of their shapes."""
    given = {each.name: list(each.shape[1:]) for each in session.get_outputs()}
    wanted = {
        "landmarks": [num_landmarks, 2],
        "pose": [6],
        "covariance": [num_landmarks, 2, 2],
        "visible": [num_landmarks],
    }
    inputs = {each.name: list(each.shape[1:]) for each in session.get_inputs()}
    if inputs != {"images": [3, size, size]} or "landmarks" not in given:
        raise ValueError(f"inputs {inputs} and outputs {given} are others than said")
    for name, shape in given.items():
        if wanted.get(name) != shape:
            raise ValueError(f"output {name} has the shape {shape}")
    return list(given)
