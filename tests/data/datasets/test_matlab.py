from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from pyspiga_geo.data.datasets.matlab import read_matrices

NUMBERS = {
    "Points": np.arange(136.0).reshape(68, 2) / 7,
    "Occ": np.arange(68)[None] % 2 == 0,
    "small": np.array([[3]], dtype=np.uint8),
    "narrow": np.arange(-6, 6, dtype=np.int16).reshape(3, 4),
    "single": np.float32([[0.5, 2]]),
    "cube": np.arange(24).reshape(2, 3, 4),
    "empty": np.zeros((0, 3)),
}
OTHERS = {"text": "abc", "complex": np.array([[1j]]), "cells": np.array([[1, "a"]], dtype=object), "struct": {"a": 1}}
OTHERS["sparse"] = scipy.sparse.csc_matrix(np.eye(3))


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, NUMBERS | OTHERS, do_compression=request.param)
    return path


def test_numbers_are_those_that_scipy_reads(file: Path) -> None:
    found, expected = read_matrices(file), scipy.io.loadmat(file)
    assert found.keys() == NUMBERS.keys()
    for name, matrix in found.items():
        assert matrix.dtype == np.float64
        assert np.array_equal(matrix, expected[name]), name


def mutated(content: bytes) -> Iterator[bytes]:
    random = np.random.default_rng(0)
    for _ in range(500):
        changed = bytearray(content[: random.integers(100, len(content) + 1)] if random.random() < 0.2 else content)
        for place in random.integers(min(124, len(changed)), len(changed), 3) if len(changed) > 124 else ():
            changed[place] = random.integers(256)
        yield bytes(changed)


def test_damaged_files_are_refused_and_end_no_process(file: Path) -> None:
    sound, reasons = file.read_bytes(), set[str]()
    for content in mutated(sound):
        file.write_bytes(content)
        try:
            assert all(matrix.dtype == np.float64 for matrix in read_matrices(file).values())
        except ValueError as error:
            reasons.add(str(error).split(":")[0])
    assert reasons == {"damaged", "not a file of MATLAB 5 to 7.2"}


def test_much_from_few_bytes_is_refused(tmp_path: Path) -> None:
    content: dict[str, Any] = {"Points": np.zeros(2_000_000)}
    scipy.io.savemat(tmp_path / "a.mat", content, do_compression=True)
    with pytest.raises(ValueError, match="a compressed variable has no end within"):
        read_matrices(tmp_path / "a.mat")
