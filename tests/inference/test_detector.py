import json
from itertools import groupby

import pytest
import torch
from skimage.data import astronaut, coffee
from torch.nn.functional import interpolate

from pyspiga_geo.data import read_image
from pyspiga_geo.inference import detect_faces

# Centres of the faces in the shared photos that nobody annotated: profiles, pictures of faces, a baby, half a face.
UNANNOTATED = {
    "images/photo_00.jpg": [(823, 307)],
    "images/photo_05.jpg": [(211, 105), (381, 408)],
    "images/photo_08.jpg": [(1134, 284)],
    "images/photo_10.jpg": [(582, 328)],
    "images/photo_12.jpg": [(224, 237)],
    "images/photo_13.jpg": [(452, 468)],
}


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return torch.from_numpy(astronaut()).permute(2, 0, 1) / 255


def test_finds_the_astronaut(photo):
    boxes = detect_faces(photo)
    assert boxes.shape == (1, 4)
    x, y, width, height = boxes[0].tolist()
    assert abs(x + width / 2 - 223) < 8
    assert abs(y + height / 2 - 133) < 8
    assert 80 < width < 105
    assert 75 < height < 95


def test_finds_nothing_where_no_face_is():
    assert detect_faces(torch.rand(3, 60, 60)).shape == (0, 4)
    assert detect_faces(torch.from_numpy(coffee()).permute(2, 0, 1) / 255).shape == (0, 4)


@pytest.mark.parametrize("shape", [(1, 1), (5, 200), (200, 1), (3, 9000)])
def test_tiny_and_narrow_pictures(shape):
    assert detect_faces(torch.rand(3, *shape)).shape == (0, 4)


@pytest.mark.parametrize("scale", [0.25, 6])
def test_the_size_of_a_photo_does_not_matter(photo, scale):
    shape = [int(512 * scale)] * 2
    boxes = detect_faces(interpolate(photo[None], shape, mode="bilinear", antialias=True)[0])
    # Pixel indices count from the centre of the first pixel.
    boxes[:, :2] += 0.5
    expected = detect_faces(photo)
    expected[:, :2] += 0.5
    torch.testing.assert_close(boxes / scale, expected, atol=5, rtol=0)


def test_largest_first(photo):
    small = interpolate(photo[None, :, 20:220, 120:320], (100, 100), mode="bilinear", antialias=True)[0]
    both = torch.zeros(3, 200, 300)
    both[:, :100, :100], both[:, :, 100:] = small, photo[:, 20:220, 120:320]
    boxes = detect_faces(both)
    assert boxes[:, 0].gt(100).tolist() == [True, False]


@pytest.mark.parametrize(
    "image", [torch.rand(1, 3, 9, 9), torch.rand(1, 9, 9), torch.zeros(3, 9, 9, dtype=torch.uint8)]
)
def test_impossible_images(image):
    with pytest.raises(ValueError, match="image must be float"):
        detect_faces(image)


def test_every_annotated_face_of_the_shared_photos(shared):
    folder = shared / "faces/photos"
    if not (folder / "photos.json").is_file():
        pytest.skip(f"{folder} has no photos.json")
    records = sorted(json.loads((folder / "photos.json").read_text()), key=lambda record: record["imgpath"])
    false_finds = 0
    for name, annotated in groupby(records, key=lambda record: record["imgpath"]):
        found = detect_faces(read_image(folder / name))
        middles = found[:, :2] + found[:, 2:] / 2
        known = [(middles - torch.tensor(centre)).norm(dim=1) < 10 for centre in UNANNOTATED.get(name, [])]
        for record in annotated:
            corner, size = torch.tensor(record["bbox"]).split(2)
            near = ((middles - corner - size / 2).abs() < size / 2).all(dim=1)
            near &= ((found[:, 2:] / size).log2().abs() < 1).all(dim=1)
            assert near.any(), f"{name}: no find for {record['bbox']}"
            known.append(near)
        false_finds += int((~torch.stack(known).any(dim=0)).sum())
    assert false_finds <= 1
