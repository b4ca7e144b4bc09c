"""MERL-RAV (Kumar et al., LUVLi, CVPR 2020): 68 landmarks with visibility on the photos of AFLW."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from pyspiga_geo.data.datasets.distributed import DistributedFaces, Finding
from pyspiga_geo.data.datasets.pts import from_one, pictures_in, read_face
from pyspiga_geo.data.records import FloatArray
from pyspiga_geo.layouts import get_layout

_SUBSETS = {
    "frontal": "frontal",
    "left": "profile",
    "lefthalf": "half_profile",
    "right": "profile",
    "righthalf": "half_profile",
}
_PHOTOS = ("aflw/flickr/0", "aflw/flickr/2", "aflw/flickr/3")


class MERLRAV(DistributedFaces):
    """MERL-RAV, 68 landmarks (``ibug68``), splits ``train`` and ``test``; subsets by how far the head is turned.

    The root holds the owner's labels and the photos of AFLW, or else the folder ``merl_rav_organized`` that the
    owner's script makes of both. A point (-1, -1) is hidden by the face itself and was not located: it is missing
    here, and not visible. A point with both coordinates negative is hidden by something else: it lies at the
    positive coordinates and is not visible. Pixels are taken to count from 1, as in the other .pts files; the owner
    does not say. The box is the tight one of the located landmarks. Faces of one photo are one group.

    See :class:`DistributedFaces` for the arguments.
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

    def _needs(self, split: str) -> Sequence[str]:
        if self._organized:
            return [f"merl_rav_organized/{name}/{split}set" for name in _SUBSETS]
        return [*(f"merl_rav_labels/{name}/{split}set/labels" for name in _SUBSETS), *_PHOTOS]

    def _find(self, split: str) -> Iterator[Finding]:
        ids = get_layout(self.native_layout).ids
        photos = {} if self._organized else pictures_in(*(self.root / name for name in _PHOTOS))
        for name, subset in _SUBSETS.items():
            if self._organized:
                folder = self.root / f"merl_rav_organized/{name}/{split}set"
                photos = pictures_in(folder)
            else:
                folder = self.root / f"merl_rav_labels/{name}/{split}set/labels"
            for path in sorted(folder.glob("*.pts")):
                photo = path.stem.split("_")[0]  # image00070_2 is a face of image00070
                picture = photos.get(path.stem if self._organized else photo)
                yield read_face(path, picture, self.root, ids, photo, (subset,), _decode)

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
