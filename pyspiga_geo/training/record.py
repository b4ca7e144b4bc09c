"""The record of a run in its folder, which prevents it from being continued with other settings or data."""

import hashlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pyspiga_geo.atomic import atomic_path
from pyspiga_geo.data import FaceRecord, record_line
from pyspiga_geo.layouts import get_layout
from pyspiga_geo.models import read_about
from pyspiga_geo.settings import shown
from pyspiga_geo.training.config import TrainConfig
from pyspiga_geo.training.data import FaceDataModule

FILE = "run.json"

_PACKAGES = ("pyspiga-geo", "torch", "torch-geometric", "lightning", "kornia", "numpy")
_FREE = ("out", "annotations", "workers", "accelerator", "skip_bad", "resume_anyway")
"""Settings that may change: paths and hardware. The content of the annotations is compared instead of their path."""


def describe_run(config: TrainConfig, data: FaceDataModule) -> dict[str, Any]:
    """Settings, versions and data of a run, for JSON.

    The data are described by the number of faces, and by the SHA-256 of their records, in order, and of the layout.
    """
    layout = json.dumps(get_layout(config.layout).to_dict(), sort_keys=True)
    faces = {"training": data.training, "validation": data.validation}
    return {
        "settings": json.loads(json.dumps(asdict(config), default=str)),
        "versions": {package: version(package) for package in _PACKAGES},
        "data": {
            **{name: len(each) for name, each in faces.items()},
            **{f"{name}_sha256": _digest(getattr(each, "records", ())) for name, each in faces.items()},
            "layout_sha256": hashlib.sha256(layout.encode()).hexdigest(),
        },
    }


def about_weights(run: dict[str, Any], weights: str | None) -> dict[str, Any]:
    """What a weights file records about itself: the record of its run without paths, and the commit of the code.

    If the run started from other weights, ``before`` holds what these record.
    """
    settings = {name: value for name, value in run["settings"].items() if name != "out"}
    for name in ("annotations", "weights"):
        if settings[name] is not None:
            settings[name] = Path(settings[name]).name
    before = {} if weights is None else {"before": read_about(weights)}
    return {**run, "settings": settings, "commit": _commit(), **before}


def _commit() -> str | None:
    """The commit of the package's own repository, with a plus where files differ from it; None without a repository."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
            for command in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+" if changes else commit


def check_run(config: TrainConfig, run: dict[str, Any]) -> None:
    """Compare a run with the one in its folder, if there is one.

    Raises:
        ValueError: if the folder holds another run; the message names what differs.
    """
    path = Path(config.out, FILE)
    if not path.exists() or config.resume_anyway:
        return
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
        differences = [
            *_differences(begun["settings"], run["settings"], _FREE),
            *_differences(begun["data"], run["data"], (), "the data: "),
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    if differences:
        raise ValueError(
            f"{config.out}: is of another run, in which {'; '.join(differences)}. Go on as it was begun, choose "
            "another folder, or say --resume-anyway"
        )


def write_run(config: TrainConfig, run: dict[str, Any]) -> None:
    """Write the record of a run into its folder."""
    with atomic_path(Path(config.out, FILE)) as temporary:
        temporary.write_text(json.dumps(run, indent=1), encoding="utf-8")


def _differences(begun: Any, now: Any, free: Sequence[str], where: str = "") -> Iterator[str]:
    """In words, what is not as it was; a setting that an older version did not know counts as it is now."""
    for name, value in now.items():
        before = begun.get(name, value)
        if name in free or before == value:
            continue
        if isinstance(value, dict) and isinstance(before, dict) and name != "model":  # which has any keys, or none
            yield from _differences(before, value, (), f"{where}{name}.")
        else:
            yield f"{where}{name} was {shown(before)}, not {shown(value)}"


def _digest(records: Sequence[FaceRecord]) -> str:
    digest = hashlib.sha256()
    for record in records:
        digest.update(record_line(record).encode())
    return digest.hexdigest()
