from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from pyspiga_geo.inference import YuNet

REFERENCE = Path(__file__).with_name("yunet_astronaut.npz")
"""What onnxruntime makes of face_detection_yunet_2023mar.onnx and the astronaut, with black added to 640 x 640, for the
8 best of the 8400 cells and 8 more of each map: their numbers, and score, box and points [32, 15], decoded by NumPy.
"""


@pytest.fixture(scope="module")
def yunet() -> YuNet:
    return YuNet.from_pretrained()


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return torch.from_numpy(astronaut()).permute(2, 0, 1) / 255


@torch.no_grad()
def test_cells_equal_those_of_the_onnx_file(yunet, photo):
    with np.load(REFERENCE) as file:
        cells, values = file["cells"], torch.from_numpy(file["values"])
    seen = yunet(torch.nn.functional.pad(photo, (0, 128, 0, 128))[None])
    assert seen.score.shape == (1, 8400)
    score, box, points = (part[0, cells] for part in seen)
    # onnxruntime's sigmoid is 0 below -18, which the root of the product would show.
    torch.testing.assert_close(score**2, values[:, 0] ** 2, atol=1e-6, rtol=0)
    torch.testing.assert_close(box, values[:, 1:5], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(points.flatten(1), values[:, 5:], atol=1e-4, rtol=1e-5)


@torch.no_grad()
def test_a_batch_is_its_pictures_one_by_one(yunet, photo):
    images = torch.stack([photo, photo.flip(2), torch.zeros_like(photo)])[..., 20:300, 60:330]
    together = yunet(images)
    for number, image in enumerate(images):
        for part, alone in zip(together, yunet(image[None]), strict=True):
            torch.testing.assert_close(part[number], alone[0], atol=1e-4, rtol=1e-4)
    assert [len(faces.score) for faces in yunet.detect(images)] == [1, 1, 0]


def test_black_on_the_right_and_below_changes_nothing(yunet, photo):
    small = photo[:, :250, :330]
    (faces,), (padded,) = yunet.detect(small[None]), yunet.detect(torch.nn.functional.pad(small, (0, 22, 0, 6))[None])
    assert torch.equal(faces.box, padded.box)


def test_points_lie_in_the_face(yunet, photo):
    (faces,) = yunet.detect(photo[None])
    right_eye, left_eye, nose, right_mouth, left_mouth = faces.points[0]
    assert right_eye[0] < nose[0] < left_eye[0]  # as one looks at her, her right is on the left
    assert right_mouth[0] < left_mouth[0]
    assert right_eye[1] < nose[1] < right_mouth[1]
    low, size = faces.box[0].split(2)
    assert ((faces.points[0] > low) & (faces.points[0] < low + size)).all()


def test_a_face_is_found_once_and_two_are_two(yunet, photo):
    face = photo[:, 20:220, 120:320]
    (faces,) = yunet.detect(torch.cat([face, face], dim=2)[None])
    left, right = faces.box[faces.box[:, 0].argsort()]
    torch.testing.assert_close(right - left, torch.tensor([200.0, 0, 0, 0]), atol=6, rtol=0)
    assert (faces.score.diff() <= 0).all()


def test_impossible_images(yunet):
    for images in (torch.zeros(3, 8, 8), torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="images must be float"):
            yunet(images)
