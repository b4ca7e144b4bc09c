import sys
from pathlib import Path

import pytest

from pyspiga_geo import SPIGA

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # as examples/compare_gcn_gat.py does

from ablation.features import Features, synthetic_faces  # noqa: E402


@pytest.fixture(scope="session")
def features(tiny_model: SPIGA, tmp_path_factory: pytest.TempPathFactory) -> Features:
    """Two copies of five training faces, and four evaluation faces."""
    folder = tmp_path_factory.mktemp("features")
    return Features.compute(tiny_model, synthetic_faces(tiny_model, 5, 4), 2, folder)
