"""All faces of a folder in one picture."""

import math

from PIL import Image

from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout
from pyspiga_geo.visualization.canvas import cut_out, positions, scaled
from pyspiga_geo.visualization.overlay import draw_overlay

_COLUMNS = 12


class ContactSheet:
    """Faces cropped from their photos, each with its landmarks, in rows.

    Args:
        layout: its contours join the landmarks.
        size: side of a face's picture in pixels.
        margin: space around a face, as a fraction of its longer side.

    Example:
        >>> import torch
        >>> from pyspiga_geo.layouts import IBUG68
        >>> sheet = ContactSheet(IBUG68, size=100)
        >>> face = FaceData(pos=torch.tensor(60 * IBUG68.shape3d[:, 1:] + 100))
        >>> for _ in range(3):
        ...     sheet.add(Image.new("RGB", (200, 200)), face)
        >>> sheet.picture().size
        (200, 200)
    """

    def __init__(self, layout: Layout, size: int = 192, margin: float = 0.3) -> None:
        self.layout = layout
        self.size = size
        self.margin = margin
        self.faces: list[Image.Image] = []

    def add(self, photo: Image.Image, face: FaceData) -> None:
        """Add a face; beyond the edge of its photo the picture is black.

        Args:
            photo: an RGB picture.
            face: with ``pos`` [L, 2] in its pixels.
        """
        cut, zoom, shift = cut_out(photo, positions(face.pos), self.size, self.margin)
        self.faces.append(draw_overlay(cut, [scaled(face, zoom, shift)], self.layout, numbers=False))

    def picture(self) -> Image.Image:
        """The sheet, with the faces in the order in which they were added."""
        columns = min(_COLUMNS, max(math.isqrt(max(len(self.faces) - 1, 0)) + 1, 1))
        rows = max(-(-len(self.faces) // columns), 1)
        sheet = Image.new("RGB", (columns * self.size, rows * self.size))
        for index, face in enumerate(self.faces):
            sheet.paste(face, (index % columns * self.size, index // columns * self.size))
        return sheet
