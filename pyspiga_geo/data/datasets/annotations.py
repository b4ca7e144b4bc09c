"""Faces from a file of annotation records and the pictures it names."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from pyspiga_geo.data.datasets.faces import FaceDataset
from pyspiga_geo.data.images import find_image, read_image
from pyspiga_geo.data.records import FaceRecord, landmarks_for
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout


class AnnotatedFaces(FaceDataset):
    """Annotated faces as graphs in pixels of their photo.

    An item is a :class:`~pyspiga_geo.graph.FaceData` with ``image`` [3, H, W] float RGB in 0..1, ``pos`` [L, 2] pixels
    (0 if not annotated), ``mask`` [L] bool, ``visible`` [L], ``bbox`` [4], ``headpose`` [6] (NaN if not annotated) and
    ``imgpath``; then the transform is applied.

    Args:
        records: see :func:`pyspiga_geo.data.read_records`.
        root: folder that the records' ``imgpath`` are relative to.
        layout: order of the landmarks; a record's landmarks are matched to it by id.
        transform: applied to each item, for instance a :class:`torch_geometric.transforms.Compose`.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> face = FaceRecord("a.png", (0, 0, 9, 9), (7, 12), np.array([[1.0, 4], [8, 4]]), np.ones(2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (64, 48)).save(Path(folder, "a.png"))
        ...     AnnotatedFaces([face], folder, Layout("eyes", ids=(7, 12, 1)))[0].mask
        tensor([ True,  True, False])
    """

    def __init__(
        self,
        records: Sequence[FaceRecord],
        root: str | os.PathLike[str],
        layout: Layout,
        transform: Callable[[FaceData], FaceData] | None = None,
    ) -> None:
        super().__init__(transform)
        self.records = list(records)
        self.root = Path(root)
        self.layout = layout

    def __len__(self) -> int:
        """Number of faces."""
        return len(self.records)

    def get(self, number: int) -> FaceData:
        """Read one face, before the transform.

        Args:
            number: of the face, counted from 0.

        Returns:
            The face, transformed.

        Raises:
            pyspiga_geo.data.ImageError: if its picture cannot be read.
        """
        record = self.records[number]
        points = landmarks_for(record, self.layout.ids)
        annotated = np.isfinite(points[:, 0]) & np.isfinite(points[:, 1])
        visible = dict(zip(record.ids, record.visible.tolist(), strict=True))
        return FaceData(
            image=read_image(find_image(self.root, record.imgpath)),
            pos=torch.tensor(np.where(annotated[:, None], points, 0), dtype=torch.float32),
            mask=torch.from_numpy(annotated),
            visible=torch.tensor([visible.get(landmark, 0) for landmark in self.layout.ids], dtype=torch.float32),
            bbox=torch.tensor(record.bbox, dtype=torch.float32),
            headpose=torch.tensor(record.headpose or [math.nan] * 6, dtype=torch.float32),
            imgpath=record.imgpath,
        )


def split_groups(
    records: Sequence[FaceRecord], fraction: float, seed: int
) -> tuple[list[FaceRecord], list[FaceRecord]]:
    """Split into training and validation so that no group (photo or person) is in both.

    Args:
        records: faces; one without a group is a group of its own.
        fraction: share of the faces for validation, exact to within a group.
        seed: of the random choice.

    Returns:
        The records for training and those for validation, each in their order.

    Example:
        >>> eyes = np.array([[1.0, 4], [8, 4]])
        >>> names = ["ann", "ann", "bob", "cid"]
        >>> faces = [FaceRecord("a.png", (0, 0, 9, 9), (7, 12), eyes, np.ones(2), group=name) for name in names]
        >>> training, validation = split_groups(faces, fraction=0.5, seed=0)
        >>> {face.group for face in training} & {face.group for face in validation}
        set()
    """
    groups = [record.group or f"#{index}" for index, record in enumerate(records)]
    names = sorted(set(groups))
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed)).tolist()
    wanted, chosen = fraction * len(records), set[str]()
    for index in order:
        if sum(group in chosen for group in groups) >= wanted:
            break
        chosen.add(names[index])
    training = [r for r, group in zip(records, groups, strict=True) if group not in chosen]
    validation = [r for r, group in zip(records, groups, strict=True) if group in chosen]
    return training, validation
