"""Landmarks in .pts files, the format of iBUG: one file a face, named like its picture."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from pyspiga_geo.data.datasets.distributed import DistributedFaces, Finding, face_record
from pyspiga_geo.data.records import FloatArray

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp")


def read_pts(path: str | os.PathLike[str]) -> FloatArray:
    """The points of a .pts file as they stand there, float64 [n, 2].

    iBUG counts pixels from 1, as MATLAB does: the centre of the first pixel is (1, 1), so that 1 is to be
    subtracted for the positions of this package.

    Raises:
        ValueError: the file is not a whole .pts file; the message says which line is wrong.
        OSError: it cannot be read.
    """
    lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    marks = [line.strip() for line in lines]
    if "{" not in marks or "}" not in marks:
        raise ValueError("is not a whole .pts file: its points must stand between { and }")
    first, last = marks.index("{"), marks.index("}")
    points = []
    for number in range(first + 1, last):
        if not marks[number]:
            continue
        try:
            x, y = map(float, marks[number].split())
        except ValueError:
            raise ValueError(f"line {number + 1}: {marks[number][:40]!r} is not a point x y") from None
        if not np.isfinite([x, y]).all():
            raise ValueError(f"line {number + 1}: {marks[number][:40]!r} is not finite")
        points.append([x, y])
    stated = re.search(r"n_points:\s*(\d+)", "\n".join(marks[:first]))
    if stated and int(stated[1]) != len(points):
        raise ValueError(f"says n_points: {stated[1]}, but holds {len(points)} points")
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def from_one(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Positions [n, 2] in 0-based pixels and visibility [n] of points that count pixels from 1."""
    return points - 1, np.ones(len(points))


def pictures_in(*folders: Path) -> dict[str, Path]:
    """Pictures of the folders by their names without the ending."""
    return {
        path.stem: path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _PICTURES
    }


def read_face(
    path: Path,
    picture: Path | None,
    root: Path,
    ids: Sequence[int],
    group: str | None,
    subsets: tuple[str, ...] = (),
    decode: Callable[[FloatArray], tuple[FloatArray, FloatArray]] = from_one,
) -> Finding:
    """The face of one .pts file.

    Args:
        path: the .pts file.
        picture: its picture; None where there is none, which makes the face a bad one.
        root: of the dataset.
        ids: the landmark that each row of the file is.
        group: photo.
        subsets: names of the parts that the face belongs to.
        decode: what the file's points mean, [n, 2] -> positions [n, 2] in 0-based pixels and visibility [n].
    """
    if picture is None:
        return Finding(f"{path}: no picture of that name ({', '.join(_PICTURES)})")
    try:
        positions, visible = decode(read_pts(path))
        imgpath = picture.relative_to(root).as_posix()
        return Finding(face_record(imgpath, ids, positions, visible, group), subsets)
    except (OSError, ValueError) as error:
        return Finding(f"{path}: {error}")


class PtsFolder(DistributedFaces):
    """All .pts files below a folder, each beside the picture of the same name; one split, ``all``.

    A file must hold as many points as the layout, in its order, in pixels counted from 1 as iBUG does. The box is
    the landmarks' tight one. Every file counts as a photo of its own.

    See :class:`DistributedFaces` for the arguments.
    """

    title = "a folder of .pts files"
    url = "your own annotation tool; the format is that of https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/"
    files = "  NAME.pts, at any depth\n  NAME.jpg (or .jpeg, .png, .bmp) beside it"
    sizes: ClassVar = {"all": None}

    def _needs(self, split: str) -> Sequence[str]:
        return (".",)

    def _find(self, split: str) -> Iterator[Finding]:
        for folder in sorted({path.parent for path in self.root.rglob("*.pts")}):
            pictures = pictures_in(folder)
            for path in sorted(folder.glob("*.pts")):
                yield read_face(path, pictures.get(path.stem), self.root, self.layout.ids, None)
