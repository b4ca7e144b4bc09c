import torch
from skimage.data import astronaut

from pyspiga_geo.inference import detect_faces


def test_finds_the_astronaut():
    boxes = detect_faces(torch.from_numpy(astronaut()).permute(2, 0, 1) / 255)
    assert boxes.shape == (1, 4)
    x, y, width, height = boxes[0].tolist()
    centre = (x + width / 2, y + height / 2)
    assert abs(centre[0] - 223) < 15
    assert abs(centre[1] - 130) < 20
    assert 70 < width < 130


def test_finds_nothing_in_noise_and_in_tiny_pictures():
    assert detect_faces(torch.rand(3, 60, 60)).shape == (0, 4)
    assert detect_faces(torch.rand(3, 5, 200)).shape == (0, 4)


def test_a_large_photo_is_searched_at_a_smaller_size():
    photo = torch.from_numpy(astronaut()).permute(2, 0, 1) / 255
    small = detect_faces(photo)[0]
    large = detect_faces(torch.nn.functional.interpolate(photo[None], scale_factor=3, mode="bilinear")[0])[0]
    assert torch.allclose(large / 3, small, atol=25)
