"""Photos and boxes in the forms in which people have them: right, or refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from pyspiga_geo.inference.inputs import as_boxes, as_photo

BYTES = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
PHOTO = torch.from_numpy(BYTES.transpose(2, 0, 1).copy()) / 255
IMAGE = torch.zeros(3, 60, 80)


@pytest.mark.parametrize(
    "photo",
    [
        BYTES,
        BYTES.astype(np.int64),
        BYTES.astype(np.int16),
        BYTES.astype(np.uint16) * 257,
        BYTES / 255,
        (BYTES / 255).astype(np.float32),
        np.dstack([BYTES, BYTES[..., :1]]),
        BYTES[:, ::-1][:, ::-1],
        Image.fromarray(BYTES),
        torch.from_numpy(BYTES).permute(2, 0, 1),
        PHOTO,
        PHOTO.double(),
        PHOTO.clone().requires_grad_(),
    ],
    ids=lambda photo: f"{type(photo).__name__} {getattr(photo, 'dtype', '')}",
)
def test_one_photo_in_every_form_is_one_photo(photo):
    given = as_photo(photo)
    assert given.dtype == torch.float32
    assert not given.requires_grad
    torch.testing.assert_close(given, PHOTO, atol=1e-7, rtol=0)


def test_a_file_and_a_turned_pillow_image(tmp_path):
    turned = Image.fromarray(BYTES)
    exif = turned.getexif()
    exif[0x0112] = 3  # upside down
    turned.save(tmp_path / "turned.png", exif=exif)
    upright = PHOTO.flip(1, 2)
    assert torch.equal(as_photo(tmp_path / "turned.png"), upright)
    assert torch.equal(as_photo(Image.open(tmp_path / "turned.png")), upright)


def test_grey_and_logical_arrays_are_three_equal_channels():
    assert torch.equal(as_photo(BYTES[..., 0])[2], PHOTO[0])
    assert as_photo(np.eye(4, dtype=bool)).unique().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (BYTES.astype(np.float32), r"float32 must have values in 0..1, got"),
        (torch.from_numpy(BYTES).permute(2, 0, 1).float(), r"float32 must have values in 0..1, got"),
        (BYTES.astype(np.int32) * 257, r"int32 must have values in 0..255, got"),
        (BYTES.astype(np.int32) - 300, r"int32 must have values in 0..255, got -300"),
        (np.full((4, 4), np.nan), r"got nan..nan"),
        (BYTES.transpose(2, 0, 1), r"must be \[H, W\], \[H, W, 3\] or \[H, W, 4\], got \[3, 6, 8\]"),
        (np.zeros((0, 4, 3)), r"got \[0, 4, 3\]"),
        (np.full((4, 4), "x"), "must hold numbers"),
        (np.zeros((4, 4), dtype=complex), "must hold numbers"),
        (torch.zeros(1, 3, 4, 4), r"must be \[3, H, W\], got \[1, 3, 4, 4\]"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_photo_is_told(photo, reason):
    with pytest.raises(ValueError, match=reason):
        as_photo(photo)


@pytest.mark.parametrize(
    "boxes",
    [
        [[10, 20, 30, 25]],
        [10, 20, 30, 25],
        ((10, 20, 30, 25),),
        np.array([[10, 20, 30, 25]]),
        np.array([[10, 20, 30, 25, 0.9]]),
        torch.tensor([[10, 20, 30, 25]]),
        torch.tensor([[10, 20, 30, 25]], dtype=torch.float64),
        [np.array([10, 20, 30, 25])],
    ],
)
def test_one_box_in_every_form_is_one_box(boxes):
    assert torch.equal(as_boxes(boxes, IMAGE).box, torch.tensor([[10.0, 20, 30, 25]]))


def test_corners_and_none_at_all():
    assert as_boxes([[10, 20, 40, 45]], IMAGE, "xyxy").box.tolist() == [[10, 20, 30, 25]]
    for none in ([], np.zeros((0, 4)), torch.zeros(0, 5), torch.zeros(0)):
        assert as_boxes(none, IMAGE).box.shape == (0, 4)


@pytest.mark.parametrize(
    ("boxes", "box_format", "reason"),
    [
        ([[10, 20, 30]], "xywh", r"must be \[N, 4\]"),
        ([[10, 20, 30, 25, 1, 1]], "xywh", r"must be \[N, 4\]"),
        (np.zeros((1, 1, 4)), "xywh", r"must be \[N, 4\]"),
        ([[10, 20, 30, 25], [1, 2]], "xywh", "must be numbers"),
        ("face", "xywh", "must be numbers"),
        ([[1, 2, 3, 10**400]], "xywh", "must be numbers"),
        ([[40, 45, 10, 20]], "xyxy", "no size: left, top, right, bottom"),
        ([[10, 20, np.inf, 25]], "xywh", "outside of the picture"),
        ([[10, 20, 30, 25]], "cxcywh", "box_format must be"),
    ],
)
def test_what_is_no_box_is_told(boxes, box_format, reason):
    with pytest.raises(ValueError, match=reason):
        as_boxes(boxes, IMAGE, box_format)
