import pytest
import torch
from torch_geometric.transforms import Compose

from pyspiga_geo import get_layout
from pyspiga_geo.data import SyntheticFaces
from pyspiga_geo.data.transforms import RandomAffine, RandomFlip, Resample, SquareCrop
from pyspiga_geo.geometry import camera_matrix, pose_from_points, project
from pyspiga_geo.layouts import Layout

SIZE = 96


@pytest.mark.parametrize("name", ["ibug68", "wflw98"])
def test_what_an_item_holds(name: str) -> None:
    layout = get_layout(name)
    faces = SyntheticFaces(layout, num_faces=20, size=SIZE)
    assert len(faces) == 20
    for face in (faces[0], faces[19]):
        assert face.image.shape == (3, SIZE, SIZE)
        assert face.image.dtype == torch.float32
        assert 0 <= face.image.min() < face.image.max() <= 1
        assert face.pos.shape == (len(layout), 2)
        assert face.mask.all()
        assert ((face.pos > 0) & (face.pos < SIZE - 1)).float().mean() > 0.9
        x, y, width, height = face.bbox.tolist()
        torch.testing.assert_close(face.pos.amin(dim=0), torch.tensor([x, y]))
        torch.testing.assert_close(face.pos.amax(dim=0), torch.tensor([x + width, y + height]))


def test_the_same_seed_draws_the_same_faces_in_any_order() -> None:
    first, again = SyntheticFaces(get_layout("ibug68")), SyntheticFaces(get_layout("ibug68"))
    before = first[3]
    again[0]
    torch.rand(5)
    assert torch.equal(again[3].image, before.image)
    assert torch.equal(again[3].pos, before.pos)
    assert not torch.equal(SyntheticFaces(get_layout("ibug68"), seed=1)[3].image, before.image)
    assert not torch.equal(first[4].image, before.image)


def test_pose_is_the_pose_of_the_picture() -> None:
    # The shape is deformed, so the pose of the rigid face that fits best is near it and not the same.
    layout = get_layout("ibug68")
    faces = SyntheticFaces(layout, size=256)
    shape3d, camera = torch.tensor(layout.shape3d), camera_matrix(256, dtype=torch.float64)
    rows = layout.robust_rows
    errors = []
    for index in range(30):
        face = faces[index]
        found = pose_from_points(face.pos[None, rows].double(), shape3d[rows], camera)[0]
        errors.append((found[:3] - face.pose[:3]).abs())
        rigid = project(shape3d, face.pose.double(), camera)
        assert (rigid - face.pos).norm(dim=1).mean() < 0.08 * face.bbox[2:].max()
    assert torch.stack(errors).mean(dim=0).max() < 4


def test_the_far_side_of_the_head_is_hidden() -> None:
    layout = get_layout("ibug68")
    faces = SyntheticFaces(layout, num_faces=60, max_angles=(60, 0, 0))
    jaw = list(layout.contours["jaw"])
    for index in range(60):
        face = faces[index]
        right, left = face.visible[jaw[:8]], face.visible[jaw[-8:]]
        if face.pose[0] > 30:  # towards the right of the picture: the person's left side turns away
            assert right.all()
            assert not left.all()
        elif face.pose[0] < -30:
            assert left.all()
            assert not right.all()
        elif face.pose[0].abs() < 5:
            assert face.visible.all()


def test_layouts_that_cannot_be_drawn() -> None:
    flat = Layout("flat", ids=(1, 2), flip=(1, 0), contours={"all": (0, 1)})
    with pytest.raises(ValueError, match="'flat' needs a rigid 3-D shape and a contour 'jaw'"):
        SyntheticFaces(flat)


def test_random_transforms_keep_landmarks_on_their_dots() -> None:
    layout, crop = get_layout("ibug68"), 128
    vary = Compose(
        [
            SquareCrop(crop, 1.6),
            RandomFlip(crop, layout),
            RandomAffine(crop, degrees=45, scale=0.15, shift=0.05),
            Resample(crop),
        ]
    )
    faces = SyntheticFaces(layout, num_faces=24, size=256)
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    cy, cx = torch.meshgrid(torch.arange(float(crop)), torch.arange(float(crop)), indexing="ij")
    flipped = checked = 0
    for index in range(24):
        face = faces[index]
        rows = torch.randperm(len(layout))[:3].tolist()  # one red, one green, one blue
        face.image = torch.stack(
            [torch.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 2.5**2)) for px, py in face.pos[rows].tolist()]
        )
        moved = vary(face)
        mirrored = bool(moved.crop[:2, :2].det() < 0)
        flipped += mirrored
        for row, dot in zip(rows, moved.image, strict=True):
            now = layout.flip[row] if mirrored else row
            px, py = (crop * moved.pos[now]).tolist()
            if not (8 < px < crop - 8 and 8 < py < crop - 8):
                continue  # the dot is cut at the edge
            centre = torch.stack([(dot * cx).sum(), (dot * cy).sum()]) / dot.sum()
            assert (centre - torch.tensor([px, py])).norm() < 0.5
            assert moved.mask[now]
            checked += 1
    assert 4 < flipped < 20
    assert checked > 60
