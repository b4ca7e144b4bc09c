"""What several tests of the data share."""

from collections.abc import Callable

import pytest
import torch

from pyspiga_geo.graph import FaceData


@pytest.fixture
def numbered_face() -> Callable[[], FaceData]:
    """Makes a picture with two bright spots; landmarks off the axis, told apart by what stands in `visible`."""

    def make() -> FaceData:
        image = torch.zeros(3, 200, 200)
        image[:, 60:70, 50:60] = 1
        image[0, 120:140, 90:100] = 0.5
        return FaceData(
            image=image,
            pos=torch.stack([torch.linspace(60, 140, 68), torch.linspace(70, 139, 68)], dim=1),
            mask=torch.ones(68, dtype=torch.bool),
            visible=torch.arange(68.0),
            bbox=torch.tensor([50.0, 50, 100, 100]),
        )

    return make
