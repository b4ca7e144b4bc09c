"""What several tests of the layers share."""

from typing import Any

import pytest

OPTIONS: dict[str, dict[str, Any]] = {
    "one head": {"out_channels": 4},
    "four heads": {"out_channels": 8, "heads": 4},
    "scaled": {"out_channels": 6, "heads": 2, "scale": True},
    "projected": {"out_channels": 6, "heads": 3, "out_proj": True},
    "reference": {"out_channels": 8, "heads": 4, "include_self": True, "scale": True, "out_proj": True},
}


@pytest.fixture(params=OPTIONS)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of a LandmarkAttention."""
    return dict(OPTIONS[request.param])
