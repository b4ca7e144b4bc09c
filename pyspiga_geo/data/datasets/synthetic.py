"""Synthetic faces, rendered from a deformed rigid face, so that everything about them is known exactly."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull
from torch import Tensor

from pyspiga_geo.data.datasets.faces import FaceDataset
from pyspiga_geo.geometry import camera_matrix, euler_to_rotation, points_to_box, project
from pyspiga_geo.graph import FaceData
from pyspiga_geo.layouts import Layout
from pyspiga_geo.seed import derive_seed

_OVERSAMPLE = 2  # drawn larger and reduced, so that edges are smooth

Points = NDArray[np.float64]


class SyntheticFaces(FaceDataset):
    """Cartoon faces with exact landmarks, head pose and visibility; no download, and the same faces for the same seed.

    Each face is the layout's rigid shape, deformed (proportions, open mouth, raised brows, narrowed eyes), rotated
    by a random pose and projected; the picture is drawn from the projected contours on a noisy background.

    An item is a :class:`~pyspiga_geo.graph.FaceData` with ``image`` [3, S, S] float RGB in 0..1; ``pos`` [L, 2] pixels;
    ``mask`` [L], all true; ``visible`` [L], 1 if the landmark's side of the head faces the camera; ``bbox`` [4], the
    landmarks' tight box in pixels; ``pose`` [6], degrees and units of the rigid shape, for the camera of the whole
    picture; then the transform is applied.

    Args:
        layout: must have a rigid shape and a contour ``jaw`` from ear to ear.
        num_faces: length of the dataset.
        size: side S of the pictures in pixels.
        max_angles: largest yaw, pitch and roll in either direction in degrees; drawn uniformly.
        seed: of all faces.
        transform: applied to each item.

    Raises:
        ValueError: if the layout has no rigid shape or no jaw.

    Example:
        >>> from pyspiga_geo import get_layout
        >>> faces = SyntheticFaces(get_layout("ibug68"), num_faces=10, size=64)
        >>> face = faces[0]
        >>> len(faces), face.image.shape, face.pos.shape, face.pose.shape
        (10, torch.Size([3, 64, 64]), torch.Size([68, 2]), torch.Size([6]))
    """

    def __init__(
        self,
        layout: Layout,
        num_faces: int = 1000,
        size: int = 160,
        max_angles: tuple[float, float, float] = (45, 20, 25),
        seed: int = 0,
        transform: Callable[[FaceData], FaceData] | None = None,
    ) -> None:
        if layout.shape3d is None or "jaw" not in layout.contours:
            raise ValueError(f"layout {layout.name!r} needs a rigid 3-D shape and a contour 'jaw' to be drawn")
        super().__init__(transform)
        self.layout = layout
        self.num_faces = num_faces
        self.size = size
        self.max_angles = max_angles
        self.seed = seed

    def __len__(self) -> int:
        """Number of faces."""
        return self.num_faces

    def get(self, number: int) -> FaceData:
        """Draw one face, before the transform.

        Args:
            number: of the face, counted from 0.

        Returns:
            The face.
        """
        rng = np.random.default_rng(derive_seed(self.seed, number))
        shape3d = _deform(self.layout, rng)
        angles, distance = rng.uniform(-1, 1, 3) * self.max_angles, rng.uniform(3.6, 4.6)
        pose = torch.tensor([*angles, *rng.uniform(-0.15, 0.15, 2), distance], dtype=torch.float64)
        camera = camera_matrix(self.size, dtype=torch.float64)
        pos = project(torch.from_numpy(shape3d), pose, camera)
        head = project(torch.from_numpy(_forehead(self.layout, shape3d)), pose, camera)
        image = _draw(self.layout, pos.numpy(), head.numpy(), self.size, rng)
        return FaceData(
            image=image,
            pos=pos.float(),
            mask=torch.ones(len(self.layout), dtype=torch.bool),
            visible=_visible(torch.from_numpy(shape3d), pose),
            bbox=points_to_box(pos).float(),
            pose=pose.float(),
            imgpath=f"synthetic face {number}",
        )


def _deform(layout: Layout, rng: np.random.Generator) -> Points:
    """The rigid shape [L, 3] with random proportions and expression."""
    shape = np.array(layout.shape3d, dtype=np.float64) * rng.uniform(0.9, 1.1, 3)
    gap, lift, squint = rng.uniform(0, 0.18), rng.uniform(-0.04, 0.08), rng.uniform(0.4, 1.3)
    corners = {row for name, rows in layout.contours.items() for row in (rows[0], rows[-1]) if "mouth" in name}
    for name, rows in layout.contours.items():
        if name.startswith("mouth") and name.endswith("lower"):
            shape[[row for row in rows if row not in corners], 2] += gap
        elif "eyebrow" in name:
            shape[list(rows), 2] -= lift
        elif "eye" in name:
            inner = list(rows[1:-1])
            line = np.linspace(shape[rows[0], 2], shape[rows[-1], 2], len(rows))[1:-1]
            shape[inner, 2] = line + squint * (shape[inner, 2] - line)
    chin = len(layout.contours["jaw"])
    sag = np.sin(np.linspace(0, np.pi, chin)) ** 2  # the jaw follows the lower lip
    shape[list(layout.contours["jaw"]), 2] += 0.7 * gap * sag
    return shape


def _forehead(layout: Layout, shape: Points) -> Points:
    """An arc [n, 3] over the head from ear to ear."""
    right, left = shape[layout.contours["jaw"][0]], shape[layout.contours["jaw"][-1]]
    turn = np.linspace(0, np.pi, 24)[:, None]
    centre, half = (right + left) / 2, (right - left) / 2
    return centre + half * np.cos(turn) + np.sin(turn) * [0.45, 0, -0.85]


def _visible(shape3d: Tensor, pose: Tensor) -> Tensor:
    """1 if the outward normal of a ball-like head faces the camera, which is at the origin."""
    centre = torch.tensor([shape3d[:, 0].min() - 0.3, 0.0, 0.0], dtype=shape3d.dtype)
    rotation = euler_to_rotation(pose[:3])
    outward = (shape3d - centre) @ rotation.mT
    seen_from = -(shape3d @ rotation.mT + pose[3:])
    return ((outward * seen_from).sum(dim=1) > 0).float()


def _draw(layout: Layout, pos: Points, forehead: Points, size: int, rng: np.random.Generator) -> Tensor:
    scale = _OVERSAMPLE
    coarse = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
    canvas = Image.fromarray(coarse).resize((scale * size, scale * size), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)

    def path(points: Points) -> list[tuple[float, float]]:
        # A pixel's index names its centre; the pen counts from the picture's corner.
        return [((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5) for x, y in points]

    def contour(*names: str) -> Points | None:
        rows = [list(layout.contours[name]) for name in names if name in layout.contours]
        if len(rows) < len(names):
            return None
        return np.concatenate([pos[rows[0]], *(pos[row[::-1]] for row in rows[1:])])

    skin = np.array([rng.uniform(90, 245), 0, 0])
    skin[1:] = skin[0] * np.array([rng.uniform(0.7, 0.85), rng.uniform(0.5, 0.75)])
    unit = float(np.ptp(pos[:, 1]))
    width = max(1, round(0.012 * unit * scale))

    def colour(value: NDArray[np.float64]) -> tuple[int, ...]:
        return tuple(int(c) for c in value.clip(0, 255))

    outline = np.concatenate([pos, forehead])  # all of the face lies on the head, also in half profile
    pen.polygon(path(outline[ConvexHull(outline).vertices]), fill=colour(skin))
    pen.line(path(pos[list(layout.contours["jaw"])]), fill=colour(0.75 * skin), width=width)
    for side in ("right", "left"):
        eye = contour(f"{side}_eye_upper", f"{side}_eye_lower")
        if eye is not None:
            pen.polygon(path(eye), fill=(245, 245, 245), outline=(40, 30, 30))
            ((x, y),) = path(eye.mean(axis=0, keepdims=True))
            reach = 0.035 * unit * scale
            pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(50, 40, 30))
    lips = contour("mouth_outer_upper", "mouth_outer_lower")
    if lips is not None:
        pen.polygon(path(lips), fill=colour(skin * [1.0, 0.6, 0.65]))
    opening = contour("mouth_inner_upper", "mouth_inner_lower")
    if opening is not None:
        pen.polygon(path(opening), fill=(70, 20, 25), outline=(70, 20, 25))
    for name, rows in layout.contours.items():
        if "eyebrow" in name:
            pen.line(path(pos[list(rows)]), fill=colour(0.35 * skin), width=3 * width, joint="curve")
        elif name.startswith("nose"):
            pen.line(path(pos[list(rows)]), fill=colour(0.7 * skin), width=2 * width, joint="curve")
    picture = np.asarray(canvas.reduce(scale), dtype=np.float32) / 255
    light = 1 + 0.35 * rng.uniform(-1, 1) * np.linspace(-1, 1, size)[None, :, None]
    noise = rng.normal(0, 0.02, picture.shape)
    lit = (picture * light + noise).clip(0, 1).astype(np.float32)
    return torch.from_numpy(lit.transpose(2, 0, 1).copy())
