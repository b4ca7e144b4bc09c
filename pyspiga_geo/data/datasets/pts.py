"""Landmarks in .pts files, the format of iBUG: one file per face, named like its picture."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from pyspiga_geo.data.datasets.published import Finding, PublishedFaces, face_record
from pyspiga_geo.data.records import FloatArray

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp")


def read_pts(path: str | os.PathLike[str]) -> FloatArray:
    r"""Read the points of a .pts file, in the file's own coordinates.

    iBUG counts pixels from 1, as MATLAB does: the first pixel is (1, 1). The positions of this package are 1 less.

    Args:
        path: of the file.

    Returns:
        float64 [n, 2].

    Raises:
        ValueError: if the file is not a .pts file, or incomplete; the message names the line.
        OSError: if it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.pts")
        ...     _ = path.write_text("version: 1\nn_points: 2\n{\n60 80\n140 82.5\n}\n")
        ...     read_pts(path).tolist()
        [[60.0, 80.0], [140.0, 82.5]]
    """
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines()]
    if "{" not in lines or "}" not in lines:
        raise ValueError("not a whole .pts file, whose points stand between lines { and }")
    first, last = lines.index("{"), lines.index("}")
    points = []
    for number, line in enumerate(lines[first + 1 : last], start=first + 2):
        if line:
            try:
                x, y = map(float, line.split())
            except ValueError as error:
                raise ValueError(f"line {number}: {line[:40]!r} is not a point x y") from error
            if not np.isfinite([x, y]).all():
                raise ValueError(f"line {number}: {line[:40]!r} is not finite")
            points.append((x, y))
    if not points:
        raise ValueError("holds no points")
    stated = re.search(r"n_points:\s*(\d+)", "\n".join(lines[:first]))
    if stated and int(stated[1]) != len(points):
        raise ValueError(f"n_points is {stated[1]}, but there are {len(points)} points")
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def from_one(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """0-based positions [n, 2] and visibility [n] of points that count pixels from 1 and are all visible."""
    return points - 1, np.ones(len(points))


def pictures_in(*folders: Path) -> dict[str, Path]:
    """The pictures of some folders by their names without the suffix."""
    return {
        path.stem: path for folder in folders for path in sorted(folder.iterdir()) if path.suffix.lower() in _PICTURES
    }


def read_face(
    path: Path,
    picture: Path | None,
    root: Path,
    ids: Sequence[int],
    group: str | None,
    subsets: Sequence[str] = (),
    decode: Callable[[FloatArray], tuple[FloatArray, FloatArray]] = from_one,
) -> Finding:
    """The face of one .pts file.

    Args:
        path: the file.
        picture: its picture; None, if there is none, makes the face a bad one.
        root: of the dataset.
        ids: the landmark that each row of the file is.
        group: photo.
        subsets: names of the parts that the face belongs to.
        decode: converts the file's points [n, 2] to 0-based positions [n, 2], NaN if missing, and visibility [n].
    """
    if picture is None:
        return Finding(str(path), "has no picture")
    try:
        landmarks, visible = decode(read_pts(path))
        imgpath = picture.relative_to(root).as_posix()
        return Finding(str(path), face_record(imgpath, ids, landmarks, visible, group), subsets)
    except (OSError, ValueError) as error:
        return Finding(str(path), str(error))


class PtsFolder(PublishedFaces):
    r"""All .pts files below a folder, each beside its picture; one split, ``all``.

    A file holds the landmarks of the layout, in its order, in pixels that count from 1 as iBUG's do. The box is the
    landmarks' tight one. Since nothing says which files show the same photo, each face is a group of its own.

    See :class:`PublishedFaces` for the arguments.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from pyspiga_geo.layouts import Layout
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (200, 150)).save(Path(folder, "a.png"))
        ...     _ = Path(folder, "a.pts").write_text("version: 1\nn_points: 2\n{\n61 81\n141 83\n}\n")
        ...     faces = PtsFolder(folder, "all", Layout("eyes", ids=(7, 12)))
        ...     faces[0].pos.tolist()
        [[60.0, 80.0], [140.0, 82.0]]
    """

    title = "a folder of .pts files"
    url = "your annotation tool; https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/ has examples"
    files = "  NAME.pts, at any depth\n  NAME.jpg (or .jpeg, .png, .bmp) beside it"
    any_layout = True
    sizes: ClassVar = {"all": None}

    def _needs(self) -> Sequence[str]:
        return ()

    def _find(self) -> Iterator[Finding]:
        for folder in sorted({path.parent for path in self.root.rglob("*.pts")}):
            pictures = pictures_in(folder)
            for path in sorted(folder.glob("*.pts")):
                yield read_face(path, pictures.get(path.stem), self.root, self.layout.ids, group=None)
