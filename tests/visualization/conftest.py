import sys
from pathlib import Path

import pytest
import torch

from pyspiga_geo import FaceData
from pyspiga_geo.data import SyntheticFaces
from pyspiga_geo.geometry import camera_matrix
from pyspiga_geo.graph import complete_edges
from pyspiga_geo.layouts import IBUG68

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # whose figures keep to the same colours


@pytest.fixture
def walked() -> FaceData:
    """A synthetic face, and what a cascade might have found on it, in pixels of its picture."""
    face = SyntheticFaces(IBUG68, num_faces=1, size=120, seed=4)[0]
    draw = torch.Generator().manual_seed(0)
    face.initial = 0.8 * face.pos + 15
    parts = torch.tensor([0.7, 0.9, 1.0])[None, :, None]
    face.steps = face.initial[:, None] + parts * (face.pos - face.initial)[:, None]
    face.windows = torch.tensor([40.0, 20, 10])
    face.camera = camera_matrix(120)
    face.attention = (3 * torch.randn(68, 3, 2, 4, 68, generator=draw)).softmax(dim=-1)
    face.edge_index = complete_edges(68)
    face.covariance = torch.eye(2) * (1 + 5 * torch.rand(68, 1, 1, generator=draw))
    return face
