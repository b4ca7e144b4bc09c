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
"""The datasets that :func:`read_dataset` reads in the layout in which their owners distribute them, by name."""


def read_dataset(
    name: str,
    root: str | os.PathLike[str],
    split: str,
    layout: Layout | None = None,
    skip_bad: bool = False,
) -> PublishedFaces:
    """A split of a dataset whose every record and picture has been looked at.

    What comes back has ``records``, ``root`` (the folder that their ``imgpath`` are relative to) and ``subsets``.

    Args:
        name: One of ``DATASETS``.
        root: Folder of the owner's files.
        split: Part of the dataset; see its class.
        layout: Landmark set of the files for ``pts``, ``ibug68`` where None. The others have their own, and refuse
            another.
        skip_bad: Print what is bad and leave it out, instead of stopping.

    Raises:
        ValueError: No such dataset or split, or the dataset has other landmarks than the layout.
        DatasetError: Files are missing, or faces are bad; see :class:`PublishedFaces`.
    """
    if name not in DATASETS:
        raise ValueError(f"no dataset {name!r}; there are {', '.join(DATASETS)}")
    return DATASETS[name](root, split, layout, skip_bad=skip_bad, check_images=True)
