from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from pyspiga_geo.data import as_photo
from pyspiga_geo.geometry import points_to_box
from pyspiga_geo.graph import FaceData
from pyspiga_geo.inference.boxes import as_boxes
from pyspiga_geo.layouts import IBUG68

SHAPE = torch.tensor(IBUG68.shape3d[:, 1:] * (-1, 1))
SHAPE = (SHAPE - SHAPE.mean(dim=0)) / (SHAPE.amax(dim=0) - SHAPE.amin(dim=0)).amax()
WIDTH, HEIGHT = 400, 300


@dataclass
class Actor:
    """A face that moves as said: centre at a time, and whether it is there, in front, or hidden."""

    centre: Callable[[float], tuple[float, float]]
    there: Callable[[float], bool] = lambda time: True
    size: float = 60.0
    depth: float = 0.0
    turn: float = 0.0
    seen_by_detector: Callable[[float], bool] = lambda time: True

    def pos(self, time: float) -> Tensor:
        angle = torch.tensor(self.turn).deg2rad().double()
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
        return self.size * SHAPE @ turn.T + torch.tensor(self.centre(time), dtype=torch.float64)


class Stage:
    """Stands in for a FaceAligner: it knows where the faces are. A frame holds its number in its first pixel."""

    device = torch.device("cpu")
    layout = IBUG68

    def __init__(self, *actors: Actor, fps: float = 25.0, noise: float = 0.0) -> None:
        self.actors, self.fps, self.noise = actors, fps, noise
        self.detections = 0

    def frame(self, number: int) -> np.ndarray:
        pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
        pixels[0, 0, :2] = divmod(number, 256)
        return pixels

    def visible(self, time: float) -> list[Actor]:
        """Those that are there, inside of the picture, and not behind another."""
        there = [actor for actor in self.actors if actor.there(time)]
        return [
            actor
            for actor in there
            if 0 <= actor.centre(time)[0] < WIDTH
            and not any(
                other.depth > actor.depth
                and np.hypot(*np.subtract(other.centre(time), actor.centre(time))) < 0.6 * other.size
                for other in there
            )
        ]

    def _time(self, image: Tensor) -> float:
        high, low = (255 * image[:2, 0, 0]).round().int().tolist()
        return (256 * high + low) / self.fps

    def detector(self, image: Tensor) -> Tensor:
        self.detections += 1
        time = self._time(image)
        found = [each for each in self.visible(time) if each.seen_by_detector(time)]
        return torch.stack([points_to_box(each.pos(time)) for each in found]) if found else torch.zeros(0, 4)

    def __call__(self, photo, boxes) -> list[FaceData]:
        """The landmarks of the visible face next to each box; where there is none, a face is made up."""
        image = as_photo(photo)
        time, faces = self._time(image), []
        for box in as_boxes(boxes, image).box.double():
            centre, size = box[:2] + box[2:] / 2, box[2:].max()
            near = {torch.dist(each.pos(time).mean(dim=0), centre).item(): each for each in self.visible(time)}
            if near and min(near) < 0.8 * size:
                pos = near[min(near)].pos(time)
            else:
                pos = size * SHAPE
                pos = pos + centre - (pos.amin(dim=0) + pos.amax(dim=0)) / 2
            faces.append(FaceData(pos=(pos + self.noise * torch.randn_like(pos)).float(), bbox=box.float()))
        return faces


@pytest.fixture
def stage():
    return Stage


@pytest.fixture
def actor():
    return Actor
