"""Where results may be written: never over an input, nor over a file that this program did not write."""

import os
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from pyspiga_geo.visualization.evaluation_report import REPORT_TITLE
from pyspiga_geo.visualization.sheets import SOFTWARE


def check_outputs(outputs: Iterable[Path], inputs: Iterable[str | Path], overwrite: bool) -> None:
    """Refuse, before any work, outputs that cannot or must not be written.

    Args:
        outputs: files to be written. Pictures of this program, known by their metadata, are replaced.
        inputs: files that are read, and therefore never overwritten, under whatever name or link.
        overwrite: replace other files too.

    Raises:
        ValueError: if an output is an input, a folder, in a place that cannot be written, or a file not to be replaced.
    """
    read = {_identity(path) for path in inputs if os.path.exists(path)}
    for output in outputs:
        if output.is_dir():
            raise ValueError(f"{output}: is a folder, a file was expected")
        if output.exists() and _identity(output) in read:
            raise ValueError(f"{output}: is an input, which is never written over; choose another place")
        if output.is_file() and not overwrite and not is_own_picture(output):
            raise ValueError(f"{output}: exists; choose another name, or add --overwrite to replace it")
        folder = next(parent for parent in output.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise ValueError(f"{output}: {folder} is a file, a folder was expected")
        if not output.exists() and not os.access(folder, os.W_OK | os.X_OK):
            raise ValueError(f"{output}: the folder {folder} cannot be written to")


def check_report(folder: Path, overwrite: bool) -> None:
    """Refuse a report folder that holds anything but an earlier report of this program, complete or not.

    Raises:
        ValueError: if it is not a folder, or must not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file, a folder was expected")
    page = folder / "report.md"
    check_outputs([page] if not page.exists() else [], [], overwrite)
    own = page.is_file() and page.read_text(encoding="utf-8", errors="replace").startswith(REPORT_TITLE)
    # The pictures come first: those alone are of a report that was stopped, as are hidden files not finished.
    others = [] if own or not folder.exists() else [path for path in folder.iterdir() if not path.name.startswith(".")]
    if not all(is_own_picture(path) for path in others) and not overwrite:
        raise ValueError(f"{folder}: holds other files; choose an empty folder, or add --overwrite")


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def is_own_picture(path: Path) -> bool:
    """Whether this program drew a picture, according to its metadata."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return picture.info.get("Software") == SOFTWARE
    except Exception:  # not a picture, or a damaged one, for which Pillow raises nearly anything
        return False
