"""The photos that the files, folders and patterns of a command line mean, and the paths of their pictures."""

import os
from collections.abc import Iterable, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pyspiga_geo.cli.outputs import is_own_picture
from pyspiga_geo.data import FORMATS


class Named(NamedTuple):
    """A photo, and the name of its picture."""

    path: str
    name: Path
    """Without suffix: the photo's own name, or its path below the folder that was searched."""


def find_photos(arguments: Iterable[str]) -> list[Named]:
    """Find the photos that files, folders (recursively) and patterns such as ``"*.jpg"`` mean, each once.

    In folders, files with the suffix of a picture count, in the order of names, except hidden files and pictures that
    this program drew.

    Raises:
        ValueError: if a folder has no photos, or a pattern matches nothing.
    """
    found: dict[str, Named] = {}
    for argument in arguments:
        for named in _photos_of(argument):
            found.setdefault(named.path, named)
    return list(found.values())


def _photos_of(argument: str) -> list[Named]:
    if has_magic(argument) and not os.path.exists(argument):
        paths = sorted(path for path in glob(argument, recursive=True) if os.path.isfile(path))
        if not paths:
            raise ValueError(f"{argument}: no file has such a name")
        return [Named(path, Path(Path(path).stem)) for path in paths]
    folder = Path(argument)
    if not argument or not folder.is_dir():
        return [Named(argument, Path(folder.stem))]
    photos = [path for path in sorted(folder.rglob("*")) if _is_photo(path, folder)]
    if not photos:
        raise ValueError(f"{argument}: contains no photos ({', '.join(FORMATS)})")
    return [Named(str(path), path.relative_to(folder).with_suffix("")) for path in photos]


def _is_photo(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    known = Image.registered_extensions().get(path.suffix.lower()) in FORMATS
    return known and not hidden and path.is_file() and not is_own_picture(path)


def picture_paths(photos: Sequence[Named], folder: Path) -> list[Path]:
    """The path of the picture of each photo, numbered if names repeat."""
    paths: dict[Path, None] = {}
    for photo in photos:
        path, number = folder / f"{photo.name}.png", 2
        while path in paths:
            path, number = folder / f"{photo.name}_{number}.png", number + 1
        paths[path] = None
    return list(paths)
