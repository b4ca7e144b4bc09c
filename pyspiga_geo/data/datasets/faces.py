"""The base of all datasets of faces: access to one item or several."""

from collections.abc import Callable, Sequence
from operator import index as whole_number
from typing import overload

from torch.utils.data import Dataset, Subset

from pyspiga_geo.graph import FaceData


class FaceDataset(Dataset[FaceData]):
    """A dataset that is indexed like a list: ``faces[-1]`` is the last face, ``faces[:10]`` the first ten.

    Subclasses define ``__len__`` and :meth:`get`.

    Args:
        transform: applied to each item.

    Example:
        >>> import torch
        >>> class Empty(FaceDataset):
        ...     def __len__(self):
        ...         return 20
        ...
        ...     def get(self, number):
        ...         return FaceData(pos=torch.zeros(5, 2), number=number)
        >>> faces = Empty()
        >>> faces[-1].number, len(faces[:10])
        (19, 10)
    """

    def __init__(self, transform: Callable[[FaceData], FaceData] | None = None) -> None:
        self.transform = transform

    def __len__(self) -> int:
        """Number of faces."""
        raise NotImplementedError

    def get(self, number: int) -> FaceData:
        """Make one face, before the transform.

        Args:
            number: of the face, counted from 0.

        Returns:
            The face.
        """
        raise NotImplementedError

    @overload
    def __getitem__(self, item: int) -> FaceData: ...

    @overload
    def __getitem__(self, item: slice | Sequence[int]) -> Subset[FaceData]: ...

    def __getitem__(self, item: int | slice | Sequence[int]) -> FaceData | Subset[FaceData]:
        """Make one face; or choose several, which are made on demand.

        Args:
            item: a number, negative ones from the end; or a slice or a sequence of numbers.

        Returns:
            The face; or a :class:`torch.utils.data.Subset`, which is indexed in the same way.

        Raises:
            IndexError: if there are not so many faces.
        """
        if isinstance(item, slice):
            return Subset(self, range(len(self))[item])
        if isinstance(item, Sequence):
            return Subset(self, [self._number(each) for each in item])
        face = self.get(self._number(item))
        return face if self.transform is None else self.transform(face)

    def _number(self, item: int) -> int:
        number, count = whole_number(item), len(self)
        if not -count <= number < count:
            raise IndexError(f"face {number} of {count}")
        return number % count
