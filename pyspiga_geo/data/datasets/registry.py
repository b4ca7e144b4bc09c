"""Datasets by name, for configurations and the command line."""

import os

from pyspiga_geo.data.datasets.cofw68 import COFW68
from pyspiga_geo.data.datasets.merl_rav import MERLRAV
from pyspiga_geo.data.datasets.pts import PtsFolder
from pyspiga_geo.data.datasets.published import PublishedFaces
from pyspiga_geo.data.datasets.three_hundred_w import ThreeHundredW, ThreeHundredWPrivate
from pyspiga_geo.data.datasets.wflw import WFLW
from pyspiga_geo.layouts import Layout

DATASETS: dict[str, type[PublishedFaces]] = {
    "wflw": WFLW,
    "300w": ThreeHundredW,
    "300w-private": ThreeHundredWPrivate,
    "cofw68": COFW68,
    "merl-rav": MERLRAV,
    "pts": PtsFolder,
}
"""The datasets that :func:`read_dataset` reads in the form in which their owners distribute them, by name."""


def read_dataset(
    name: str,
    root: str | os.PathLike[str],
    split: str,
    layout: Layout | None = None,
    skip_bad: bool = False,
) -> PublishedFaces:
    """Read a split of a dataset, checking every record and picture.

    The result has ``records``, ``root`` (the folder that their ``imgpath`` are relative to) and ``subsets``.

    Args:
        name: one of ``DATASETS``.
        root: folder of the owner's files.
        split: part of the dataset; see its class.
        layout: landmark set of the files for ``pts``, ``ibug68`` if None. The others have their own, and refuse
            another.
        skip_bad: report bad faces and leave them out, instead of raising.

    Returns:
        The dataset.

    Raises:
        ValueError: if there is no such dataset or split, or the dataset has other landmarks than the layout.
        DatasetError: if files are missing, or faces are bad; see :class:`PublishedFaces`.

    Example:
        >>> sorted(DATASETS)
        ['300w', '300w-private', 'cofw68', 'merl-rav', 'pts', 'wflw']
        >>> faces = read_dataset("wflw", "datasets/wflw", "test")  # doctest: +SKIP
    """
    if name not in DATASETS:
        raise ValueError(f"unknown dataset {name!r}; known: {', '.join(DATASETS)}")
    return DATASETS[name](root, split, layout, skip_bad=skip_bad, check_images=True)
