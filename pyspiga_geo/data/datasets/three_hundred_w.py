"""300-W (Sagonas et al., IMAVIS 2016): 68 landmarks. The public parts, and the private ones of its competition."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from pyspiga_geo.data.datasets.distributed import DistributedFaces, Finding
from pyspiga_geo.data.datasets.pts import pictures_in, read_face
from pyspiga_geo.layouts import get_layout

_TRAIN = {"afw": ("afw",), "helen/trainset": ("helen",), "lfpw/trainset": ("lfpw",)}
_COMMON = {"helen/testset": ("common", "helen"), "lfpw/testset": ("common", "lfpw")}
_CHALLENGING = {"ibug": ("challenging",)}
_INDOOR, _OUTDOOR = {"01_Indoor": ("indoor",)}, {"02_Outdoor": ("outdoor",)}


class _PtsFolders(DistributedFaces):
    """Folders of .pts files whose names say which part of the dataset they are."""

    folders: ClassVar[Mapping[str, Mapping[str, tuple[str, ...]]]]

    def _needs(self, split: str) -> Sequence[str]:
        return list(self.folders[split])

    def _find(self, split: str) -> Iterator[Finding]:
        ids = get_layout(self.native_layout).ids
        for name, subsets in self.folders[split].items():
            folder = self.root / name
            pictures = pictures_in(folder)
            for path in sorted(folder.glob("*.pts")):
                group = _photo(name, path.stem)
                yield read_face(path, pictures.get(path.stem), self.root, ids, group, subsets)


class ThreeHundredW(_PtsFolders):
    """The public 300-W, 68 landmarks (``ibug68``).

    Splits are ``train`` (AFW and the training parts of HELEN and LFPW), ``full`` (the 689 test faces), ``common``
    (the test parts of HELEN and LFPW) and ``challenging`` (iBUG); subsets are ``common``, ``challenging`` and the
    names of the parts. The owner counts pixels from 1, which is set right here. The box is the landmarks' tight
    one. AFW, HELEN and iBUG number the faces of a photo (``1051618982_1``): those are one group.

    See :class:`DistributedFaces` for the arguments.
    """

    title = "300-W"
    url = "https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/ (afw.zip, helen.zip, lfpw.zip, ibug.zip)"
    files = (
        "  afw/, helen/trainset/, lfpw/trainset/ for training\n"
        "  helen/testset/, lfpw/testset/, ibug/ for the tests\n"
        "  each with NAME.pts beside NAME.jpg or NAME.png"
    )
    sizes: ClassVar = {"train": 3148, "full": 689, "common": 554, "challenging": 135}
    folders: ClassVar = {
        "train": _TRAIN,
        "full": {**_COMMON, **_CHALLENGING},
        "common": _COMMON,
        "challenging": _CHALLENGING,
    }


class ThreeHundredWPrivate(_PtsFolders):
    """The test faces of the 300-W competition, 68 landmarks (``ibug68``): 300 indoor, 300 outdoor.

    Splits are ``full``, ``indoor`` and ``outdoor``, and so are the subsets. Pixels and box as in
    :class:`ThreeHundredW`.

    See :class:`DistributedFaces` for the arguments.
    """

    title = "300-W private"
    url = "https://ibug.doc.ic.ac.uk/resources/300-W/ (300w.zip, in four parts)"
    files = (
        "  01_Indoor/ with indoor_001.pts beside indoor_001.png, ...\n  02_Outdoor/ with outdoor_001.pts, ..."
    )
    sizes: ClassVar = {"full": 600, "indoor": 300, "outdoor": 300}
    folders: ClassVar = {"full": {**_INDOOR, **_OUTDOOR}, "indoor": _INDOOR, "outdoor": _OUTDOOR}


def _photo(folder: str, stem: str) -> str:
    """The photo that a file shows a face of."""
    part = folder.split("/")[0]
    if part in ("afw", "helen", "ibug"):
        # One photo may have faces in both the training and the test part of HELEN; iBUG has a name with a space.
        photo = re.sub(r"\s*_\d+$", "", stem)
        return f"{part}/{photo}"
    return f"{folder}/{stem}"
