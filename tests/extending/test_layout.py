"""A landmark set of one's own, known only by annotated points: a cat's ears, eyes, nose, chin and cheeks."""

import numpy as np
import torch

from pyspiga_geo import SPIGA, Layout, get_layout, register_layout

SHAPE = np.array(  # only to make annotations: one's own come from a file
    [
        [-1, -2, 0],
        [1, -2, 0],
        [-0.6, -0.5, 0.7],
        [0.6, -0.5, 0.7],
        [0, 0.2, 1.3],
        [0, 1, 0.6],
        [-1, 0, 0],
        [1, 0, 0],
    ]
)


def annotated(faces: int = 40) -> np.ndarray:
    """Points [F, 8, 2] of heads that turn, in pixels."""
    rng = np.random.default_rng(0)
    yaw, pitch = rng.uniform(-0.5, 0.5, (2, faces, 1))
    x = SHAPE[:, 0] * np.cos(yaw) + SHAPE[:, 2] * np.sin(yaw)
    depth = SHAPE[:, 2] * np.cos(yaw) - SHAPE[:, 0] * np.sin(yaw)
    y = SHAPE[:, 1] * np.cos(pitch) + depth * np.sin(pitch)
    return 100 + 30 * np.stack([x, y], axis=-1)


def test_model_for_it():
    layout = register_layout(
        Layout.from_annotations("cat-of-a-test", annotated(), flip=(1, 0, 3, 2, 4, 5, 7, 6), contours={"ears": (0, 1)})
    )
    model = SPIGA.from_preset("compact", layout="cat-of-a-test").eval()
    assert model.layout is get_layout("cat-of-a-test") is layout
    out = model(torch.rand(1, 3, 128, 128))
    assert out.landmarks.shape == (1, 8, 2)
    right_eye, left_eye, nose, chin = out.initial[0, 2:6]
    assert right_eye[0] < nose[0] < left_eye[0]  # x_0 is an upright cat
    assert right_eye[1] < nose[1] < chin[1]
