"""MERL-RAV (Kumar et al., LUVLi, CVPR 2020): 68 landmarks with visibility on the photos of AFLW."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from pyspiga_geo.data.datasets.pts import from_one, pictures_in, read_face
from pyspiga_geo.data.datasets.published import Finding, PublishedFaces
from pyspiga_geo.data.records import FloatArray

_SUBSETS = {
    "frontal": "frontal",
    "left": "profile",
    "lefthalf": "half_profile",
    "right": "profile",
    "righthalf": "half_profile",
}
_PHOTOS = ("aflw/flickr/0", "aflw/flickr/2", "aflw/flickr/3")


class MERLRAV(PublishedFaces):
    """MERL-RAV: 68 landmarks (``ibug68``), splits ``train`` and ``test``.

    The root holds the owner's labels and the photos of AFLW, or the folder ``merl_rav_organized`` that the owner's
    script makes of both. A point (-1, -1) is hidden by the face itself and was not located: here it is missing and
    not visible. A point (-x, -y) lies at (x, y), hidden by something else: not visible. Pixels are taken to count
    from 1, as in the .pts files of 300-W; the owner does not say. The box is the tight one of the located landmarks.
    Subsets are ``frontal``, ``half_profile`` and ``profile``. Faces of one photo are one group.

    See :class:`PublishedFaces` for the arguments.

    Example:
        >>> MERLRAV.sizes
        {'train': 15449, 'test': 3865}
        >>> faces = MERLRAV("datasets/merl_rav", "train")  # doctest: +SKIP
    """

    title = "MERL-RAV"
    url = (
        "https://github.com/abhi1kumar/MERL-RAV_dataset, its photos at "
        "https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/aflw/"
    )
    files = (
        "  merl_rav_labels/{frontal,left,lefthalf,right,righthalf}/{trainset,testset}/labels/NAME.pts\n"
        "  aflw/flickr/{0,2,3}/NAME.jpg\n"
        "  or merl_rav_organized/{frontal,...}/{trainset,testset}/ with both"
    )
    sizes: ClassVar = {"train": 15449, "test": 3865}

    def _needs(self) -> Sequence[str]:
        folders = [self._folder(name) for name in _SUBSETS]
        return folders if self._organized else [*folders, *_PHOTOS]

    def _find(self) -> Iterator[Finding]:
        photos = {} if self._organized else pictures_in(*(self.root / name for name in _PHOTOS))
        for name, subset in _SUBSETS.items():
            folder = self.root / self._folder(name)
            pictures = pictures_in(folder) if self._organized else photos
            for path in sorted(folder.glob("*.pts")):
                photo = path.stem.split("_")[0]  # image00070_2 is a face of image00070
                picture = pictures.get(path.stem if self._organized else photo)
                yield read_face(path, picture, self.root, self.layout.ids, photo, (subset,), _decode)

    def _folder(self, name: str) -> str:
        if self._organized:
            return f"merl_rav_organized/{name}/{self.split}set"
        return f"merl_rav_labels/{name}/{self.split}set/labels"

    @property
    def _organized(self) -> bool:
        return (self.root / "merl_rav_organized").is_dir()


def _decode(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    missing = (points == -1).all(axis=1)
    hidden = np.all(np.signbit(points), axis=1)  # one negative coordinate alone is a point beside the photo
    located = points.copy()
    located[hidden] *= -1
    positions, visible = from_one(located)
    positions[missing], visible[hidden] = np.nan, 0
    return positions, visible
