from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from pyspiga_geo.data import COFW68, DatasetError
from pyspiga_geo.data.datasets import unpack_cofw

pytestmark = pytest.mark.filterwarnings("ignore:.*do not compare with published:UserWarning")

# A MATLAB 7.3 file starts with these 128 bytes, and then is HDF5.
HEADER = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"


def pictures() -> list[np.ndarray]:
    """Three pictures: two in colour, of different sizes, and a grey one, as COFW has them."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape).astype(np.uint8) for shape in ((48, 64, 3), (50, 60), (52, 70, 3))]


def write_pictures(path: Path, contents: list[Any]) -> None:
    """A MATLAB 7.3 file with the cell array ``IsT``, its axes reversed; a shape is a picture without content."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        cells = file.create_dataset("IsT", (1, len(contents)), dtype=h5py.ref_dtype)
        for number, content in enumerate(contents):
            given = {"data": content.T} if isinstance(content, np.ndarray) else {"shape": content, "dtype": np.uint8}
            cells[0, number] = file.create_dataset(f"#refs#/{number}", **given).ref
    with path.open("r+b") as file:
        file.write(HEADER)


@pytest.fixture
def folder(tmp_path: Path, spread: Callable) -> Path:
    """The owner's folder COFW68_Data, with the file of colour pictures."""
    write_pictures(tmp_path / "COFW_test_color.mat", pictures())
    (tmp_path / "test_annotations").mkdir()
    for number in (1, 2, 3):
        occluded = np.zeros((1, 68), dtype=np.uint8)
        occluded[0, :number] = 1
        content = {"Points": spread(68) + 1 + number, "Occ": occluded}
        scipy.io.savemat(tmp_path / f"test_annotations/{number}_points.mat", content)
    return tmp_path


@pytest.fixture
def unpacked(folder: Path) -> Path:
    """The same, with the pictures unpacked: no process has to be started for them."""
    (folder / "COFW_test_color").mkdir()
    for number, pixels in enumerate(pictures(), start=1):
        Image.fromarray(pixels).save(folder / f"COFW_test_color/{number}.png")
    (folder / "COFW_test_color.mat").unlink()
    return folder


def test_faces_are_read_as_the_owner_describes_them(unpacked: Path, spread: Callable) -> None:
    faces = COFW68(unpacked, "test")
    assert len(faces) == 3
    for number, record in enumerate(faces.records, start=1):
        assert record.imgpath == f"COFW_test_color/{number}.png"
        np.testing.assert_allclose(record.landmarks, spread(68) + number)
        assert record.visible.tolist() == [0] * number + [1] * (68 - number)
        low, high = record.landmarks.min(axis=0), record.landmarks.max(axis=0)
        np.testing.assert_allclose(record.bbox, [*low, *(high - low)])
    assert len({record.group for record in faces.records}) == 3
    assert faces.subsets == {}


def test_pictures_are_unpacked_once_and_to_the_pixel(folder: Path) -> None:
    faces = COFW68(folder, "test")
    for face, pixels in zip((faces[0], faces[1], faces[2]), pictures(), strict=True):
        coloured = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
        assert np.array_equal((face.image * 255).round().numpy(), coloured.transpose(2, 0, 1))
    with Image.open(folder / "COFW_test_color/2.png") as image:
        assert image.mode == "L"  # grey pictures stay grey
    (folder / "COFW_test_color.mat").unlink()
    assert len(COFW68(folder, "test")) == 3
    assert sorted(path.name for path in (folder / "COFW_test_color").iterdir()) == ["1.png", "2.png", "3.png"]
    (folder / "COFW_test_color/2.png").unlink()
    with pytest.raises(DatasetError, match=r"lacks COFW_test_color\.mat"):
        COFW68(folder, "test")


def test_without_h5py_it_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    imports_instead(monkeypatch, tmp_path, "raise ImportError")
    with pytest.raises(DatasetError, match=r"COFW_test_color\.mat: .* needs h5py: pip install 'pyspiga-geo\[cofw\]'"):
        COFW68(folder, "test")


def test_a_file_that_ends_the_process_is_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    imports_instead(monkeypatch, tmp_path, "import os\nos.abort()")
    with pytest.raises(DatasetError, match=r"COFW_test_color\.mat: not the file of COFW's test pictures: damaged$"):
        COFW68(folder, "test")
    assert not (folder / "COFW_test_color").exists()


def imports_instead(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str) -> None:
    """Let processes that are started run a program in place of h5py."""
    (folder / "modules").mkdir()
    (folder / "modules/h5py.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(folder / "modules"))


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ([np.zeros((4, 4, 3))], r"of bytes, got \[4, 4, 3\] of float64"),
        ([np.zeros((4, 4, 2), np.uint8)], r"of bytes, got \[4, 4, 2\] of uint8"),
        ([(3, 100_000, 100_000)], "must have 1 to 100,000,000 values"),
        ([(3, 0, 5)], "must have 1 to 100,000,000 values"),
    ],
)
def test_pictures_of_another_kind(tmp_path: Path, contents: list[Any], reason: str) -> None:
    write_pictures(tmp_path / "a.mat", contents)
    with pytest.raises(ValueError, match=reason):
        list(unpack_cofw.pictures(tmp_path / "a.mat"))


def test_cells_of_another_kind(folder: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path, said = folder / "COFW_test_color.mat", "IsT must be a cell array of pictures"
    for content in ({"shape": (10**9,), "dtype": h5py.ref_dtype, "chunks": (1000,)}, {"data": np.arange(5.0)}):
        with h5py.File(path, "w") as file:
            file.create_dataset("IsT", **content)
        with pytest.raises(ValueError, match=said):
            list(unpack_cofw.pictures(path))
    with pytest.raises(DatasetError, match=rf"COFW_test_color\.mat: not the file of COFW's test pictures: {said}"):
        COFW68(folder, "test")  # what the process says


@pytest.mark.parametrize("gone", ["test_annotations", "COFW_test_color.mat"])
def test_missing_files_are_named_with_where_to_get_them(folder: Path, gone: str) -> None:
    (folder / gone).rename(folder / "elsewhere")
    with pytest.raises(DatasetError) as error:
        COFW68(folder, "test")
    said = str(error.value)
    assert said.startswith(f"{folder}: lacks {gone}\n")
    assert "https://github.com/golnazghiasi/cofw68-benchmark" in said
    assert "https://data.caltech.edu/records/20099" in said


def test_a_damaged_file_of_pictures(folder: Path) -> None:
    (folder / "COFW_test_color.mat").write_bytes(b"<html>not found</html>")
    with pytest.raises(DatasetError, match=r"COFW_test_color\.mat: not the file of COFW's test pictures"):
        COFW68(folder, "test")
    assert not (folder / "COFW_test_color").exists()


def test_pictures_and_annotations_must_go_together(folder: Path) -> None:
    (folder / "test_annotations/2_points.mat").rename(folder / "test_annotations/4_points.mat")
    with pytest.raises(DatasetError, match=r"needs 1_points\.mat to 3_points\.mat"):
        COFW68(folder, "test")
    assert not (folder / "COFW_test_color").exists()


def test_bad_annotations_are_all_named(unpacked: Path, spread: Callable) -> None:
    path = unpacked / "test_annotations"
    scipy.io.savemat(path / "1_points.mat", {"Points": spread(67), "Occ": np.zeros(67)})
    scipy.io.savemat(path / "2_points.mat", {"Points": spread(68)})
    whole = (path / "3_points.mat").read_bytes()
    (path / "3_points.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError) as error:
        COFW68(unpacked, "test")
    lines = str(error.value).splitlines()
    assert lines[0] == f"{path / '1_points.mat'}: Points must be 68 x 2, and Occ 68 numbers 0 or 1"
    assert lines[1] == f"{path / '2_points.mat'}: lacks Occ"
    assert lines[2].startswith(f"{path / '3_points.mat'}: cannot be read: ")
    assert lines[3].startswith("3 bad of 3 faces")


def test_coordinates_that_are_no_numbers(unpacked: Path, spread: Callable) -> None:
    points = spread(68)
    points[5] = np.inf
    scipy.io.savemat(unpacked / "test_annotations/1_points.mat", {"Points": points, "Occ": np.zeros(68)})
    with pytest.raises(DatasetError, match=r"1_points\.mat: Points must be finite"):
        COFW68(unpacked, "test")


def test_more_pictures_than_the_file_can_hold(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a.mat", [(3, 5000, 5000)] * 2)
    with pytest.raises(ValueError, match="more pictures than a file of its size can hold"):
        list(unpack_cofw.pictures(tmp_path / "a.mat"))
