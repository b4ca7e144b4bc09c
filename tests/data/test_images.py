import struct

import numpy as np
import pytest
import torch
from PIL import Image

from pyspiga_geo.data import ImageError, find_image, read_image


@pytest.fixture
def colours() -> np.ndarray:
    """A picture with a different colour in each corner: red, green over blue, grey."""
    pixels = np.zeros((8, 12, 3), dtype=np.uint8)
    pixels[:4, :6], pixels[:4, 6:], pixels[4:, :6], pixels[4:, 6:] = (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        128,
    )
    return pixels


def test_rgb(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == torch.float32
    assert torch.equal(image, torch.tensor(colours).permute(2, 0, 1) / 255)


@pytest.mark.parametrize("mode", ["RGBA", "CMYK"])
def test_other_colour_modes_become_rgb(tmp_path, colours, mode):
    Image.fromarray(colours).convert(mode).save(tmp_path / "a.tif")
    image = read_image(tmp_path / "a.tif")
    assert torch.allclose(image, torch.tensor(colours).permute(2, 0, 1) / 255, atol=0.02)


def test_palette_becomes_rgb(tmp_path, colours):
    Image.fromarray(colours).quantize(8).save(tmp_path / "a.gif")
    image = read_image(tmp_path / "a.gif")
    assert torch.allclose(image, torch.tensor(colours).permute(2, 0, 1) / 255, atol=0.02)


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_becomes_three_equal_channels(tmp_path, colours, mode):
    Image.fromarray(colours).convert(mode).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (3, 8, 12)
    assert torch.equal(image[0], image[2])


def test_sixteen_bits_keep_their_brightness(tmp_path):
    grey = np.linspace(0, 65535, 96).reshape(8, 12).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert np.allclose(image[1].numpy(), grey / 65535, atol=1e-6)


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_exif_orientation_is_undone(tmp_path, colours, orientation):
    stored = {  # how a camera stores the picture that its tag then turns back
        1: colours,
        2: colours[:, ::-1],
        3: colours[::-1, ::-1],
        4: colours[::-1],
        5: colours.transpose(1, 0, 2),
        6: np.rot90(colours, 1),
        7: colours[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(colours, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    assert torch.equal(read_image(tmp_path / "a.png"), torch.tensor(colours).permute(2, 0, 1) / 255)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_file_is_named(tmp_path, suffix):
    path = tmp_path / f"half.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=f"half.{suffix}: damaged or truncated"):
        read_image(path)


def test_what_is_no_picture_is_said(tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match=r"text\.jpg: not a picture"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(ImageError, match=r"empty\.jpg: not a picture"):
        read_image(tmp_path / "empty.jpg")
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "absent.jpg")
    with pytest.raises(ImageError, match="not a file"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="path of a picture must not be empty"):
        read_image("")


@pytest.mark.parametrize("name", ["SPIDER", "ICO", "EPS", "IM", "PCX", "TGA"])
def test_only_the_formats_of_photos_are_opened(tmp_path, name):
    path = tmp_path / "picture.bin"
    mode = "F" if name == "SPIDER" else "RGB"
    Image.new(mode, (64, 64)).save(path, format=name)
    with pytest.raises(ImageError, match="not a picture, or of a format that cannot be read"):
        read_image(path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_mutated_pictures_are_read_or_refused(tmp_path, name):
    """Whatever Pillow's decoder raises for damaged bytes becomes an ImageError."""
    random = np.random.default_rng(0)
    path = tmp_path / "picture.bin"
    pixels = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format=name)
    assert read_image(path).shape == (3, 24, 32)
    sound = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    refusals = []
    for _ in range(60):
        damaged = sound[: random.integers(1, len(sound) + 1)].copy()
        damaged[random.integers(0, min(200, len(damaged)), 4)] = random.integers(0, 256, 4)
        path.write_bytes(damaged.tobytes())
        try:
            assert read_image(path).shape[0] == 3
        except ImageError as error:
            refusals.append(str(error))
    assert refusals
    assert all(str(path) in refusal for refusal in refusals)


def test_find_image_takes_the_end_of_a_record_path(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.jpg").touch()
    assert find_image(tmp_path, "images/test/a.jpg") == tmp_path / "test" / "a.jpg"
    assert find_image(tmp_path / "test", "images/test/a.jpg") == tmp_path / "test" / "a.jpg"
    with pytest.raises(ImageError, match=r"images/test/b\.jpg: no such file"):
        find_image(tmp_path, "images/test/b.jpg")


@pytest.mark.parametrize("name", ["a.bmp", "a.tif"])
def test_few_bytes_that_speak_of_many_pixels_are_refused(tmp_path, name):
    """A damaged size: decoding a LAB picture in TIFF of 64 x 1,000,000 pixels took 9 s, a WebP of that kind 10 s."""
    path = tmp_path / name
    Image.new("RGB" if name == "a.bmp" else "LAB", (64, 5)).save(path)
    content = bytearray(path.read_bytes())
    if name == "a.bmp":
        struct.pack_into("<I", content, 22, 1_000_000)
    else:
        (start,) = struct.unpack_from("<I", content, 4)
        height = content.index(struct.pack("<H", 257), start)
        struct.pack_into("<HII", content, height + 2, 4, 1, 1_000_000)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"{name}: .* bytes cannot hold a photo of 64 x 1000000 pixels"):
        read_image(path)


def test_large_photos_of_one_colour_are_no_damage(tmp_path):
    Image.new("L", (4000, 3000)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (3, 3000, 4000)


def test_pixels_that_are_no_numbers(tmp_path):
    Image.fromarray(np.full((3, 4), np.nan, dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif: .*a pixel is not a number"):
        read_image(tmp_path / "a.tif")
