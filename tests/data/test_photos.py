"""Photos in the forms in which people have them: right, or refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from pyspiga_geo.data import as_photo, as_pillow

BYTES = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
PHOTO = torch.from_numpy(BYTES.transpose(2, 0, 1).copy()) / 255


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
    assert np.array_equal(as_pillow(photo), BYTES)


def test_a_file_and_a_turned_pillow_image(tmp_path):
    turned = Image.fromarray(BYTES)
    exif = turned.getexif()
    exif[0x0112] = 3  # upside down
    turned.save(tmp_path / "turned.png", exif=exif)
    upright = PHOTO.flip(1, 2)
    assert torch.equal(as_photo(tmp_path / "turned.png"), upright)
    assert torch.equal(as_photo(Image.open(tmp_path / "turned.png")), upright)
    assert np.array_equal(as_pillow(tmp_path / "turned.png"), BYTES[::-1, ::-1])
    assert np.array_equal(as_pillow(Image.open(tmp_path / "turned.png")), BYTES[::-1, ::-1])


def test_a_pillow_image_is_copied():
    image = Image.fromarray(BYTES)
    as_pillow(image).putpixel((0, 0), (1, 2, 3))
    assert np.array_equal(image, BYTES)


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
    with pytest.raises(ValueError, match=reason):
        as_pillow(photo)
