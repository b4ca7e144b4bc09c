"""300-W (Sagonas et al., IMAVIS 2016): 68 landmarks. The public faces, and the private ones of the competition."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from pyspiga_geo.data.datasets.pts import pictures_in, read_face
from pyspiga_geo.data.datasets.published import Finding, PublishedFaces

# Folders and the subsets that their faces belong to.
_TRAIN = {"afw": ("afw",), "helen/trainset": ("helen",), "lfpw/trainset": ("lfpw",)}
_COMMON = {"helen/testset": ("common", "helen"), "lfpw/testset": ("common", "lfpw")}
_CHALLENGING = {"ibug": ("challenging",)}
_INDOOR, _OUTDOOR = {"01_Indoor": ("indoor",)}, {"02_Outdoor": ("outdoor",)}


class _PtsFolders(PublishedFaces):
    """Folders of .pts files whose names say what part of the dataset they are."""

    folders: ClassVar[Mapping[str, Mapping[str, Sequence[str]]]]

    def _needs(self) -> Sequence[str]:
        return list(self.folders[self.split])

    def _find(self) -> Iterator[Finding]:
        for name, subsets in self.folders[self.split].items():
            folder = self.root / name
            pictures = pictures_in(folder)
            for path in sorted(folder.glob("*.pts")):
                group = _photo(name, path.stem)
                yield read_face(path, pictures.get(path.stem), self.root, self.layout.ids, group, subsets)


class ThreeHundredW(_PtsFolders):
    """The public faces of 300-W: 68 landmarks (``ibug68``).

    Splits are ``train`` (AFW and the training parts of HELEN and LFPW), ``common`` (the test parts of HELEN and
    LFPW), ``challenging`` (iBUG) and ``full`` (both). Subsets are ``common``, ``challenging`` and the names of the
    parts. The owner counts pixels from 1; here they count from 0. The box is the landmarks' tight one. Faces of one
    photo are one group: AFW, HELEN and iBUG number them, 1051618982_1, 1051618982_2.

    See :class:`PublishedFaces` for the arguments.

    Example:
        >>> ThreeHundredW.sizes
        {'train': 3148, 'full': 689, 'common': 554, 'challenging': 135}
        >>> faces = ThreeHundredW("datasets/300w", "common")  # doctest: +SKIP
    """

    title = "300-W"
    url = "https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/ (AFW, HELEN, LFPW, iBUG)"
    files = (
        "  afw/, helen/trainset/, lfpw/trainset/ for training\n"
        "  helen/testset/, lfpw/testset/, ibug/ for tests\n"
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
    """The test faces of the 300-W competition: 68 landmarks (``ibug68``).

    Splits are ``full``, ``indoor`` and ``outdoor``; the latter two are the subsets too. Pixels and box are those of
    :class:`ThreeHundredW`.

    See :class:`PublishedFaces` for the arguments.

    Example:
        >>> ThreeHundredWPrivate.sizes
        {'full': 600, 'indoor': 300, 'outdoor': 300}
        >>> faces = ThreeHundredWPrivate("datasets/300w_private", "indoor")  # doctest: +SKIP
    """

    title = "300-W private"
    url = "https://ibug.doc.ic.ac.uk/resources/300-W/"
    files = (
        "  01_Indoor/ with indoor_001.pts beside indoor_001.png, ...\n"
        "  02_Outdoor/ with outdoor_001.pts beside outdoor_001.png, ..."
    )
    sizes: ClassVar = {"full": 600, "indoor": 300, "outdoor": 300}
    folders: ClassVar = {"full": {**_INDOOR, **_OUTDOOR}, "indoor": _INDOOR, "outdoor": _OUTDOOR}


def _photo(folder: str, stem: str) -> str:
    """The photo that a file shows a face of."""
    part = folder.split("/")[0]
    if part not in ("afw", "helen", "ibug"):
        return f"{folder}/{stem}"
    photo = re.sub(r"\s*_\d+$", "", stem)  # iBUG has an "image_092 _01", with a space
    return f"{part}/{photo}"  # without trainset or testset: HELEN's two parts could share a photo
