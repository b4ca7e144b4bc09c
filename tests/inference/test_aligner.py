import copy

import numpy as np
import pytest
import torch

from pyspiga_geo import SPIGA, FaceAligner
from pyspiga_geo.geometry import pose_from_points, project, transform_points, warp_image
from pyspiga_geo.inference import FaceBoxes, to_record
from pyspiga_geo.models import MeanShape

BOX = [30.0, 20.0, 50.0, 60.0]


@pytest.fixture
def photo() -> torch.Tensor:
    return torch.rand(3, 120, 140)


def test_faces_come_back_in_photo_pixels(tiny_model, photo):
    aligner = FaceAligner(tiny_model)
    face = aligner(photo, [BOX])[0]
    assert face.pos.shape == (68, 2)
    assert face.steps.shape == (68, 3, 2)
    assert torch.equal(face.steps[:, -1], face.pos)
    assert face.bbox.tolist() == BOX
    # The crop is 1.6 x 60 = 96 pixels wide around (55, 50) and is seen at 64.
    corners = transform_points(torch.tensor([[7.0, 2.0], [103.0, 98.0]]), face.crop)
    assert torch.allclose(corners, torch.tensor([[0.0, 0], [64, 64]]), atol=1e-4)
    # The photo's camera sees the rigid face where x_0 is, in the pose that the backbone estimates,
    estimated = tiny_model(warp_image(photo, face.crop, 64)[None]).pose[0]
    assert torch.allclose(project(tiny_model.start.shape3d, estimated, face.camera), face.initial, atol=1e-3)
    # and the pose of the face is that of its landmarks.
    rows = tiny_model.layout.pose_rows
    fitted = pose_from_points(face.pos[rows].double(), tiny_model.start.shape3d[rows].double(), face.camera.double())
    assert torch.allclose(face.pose.double(), fitted, atol=0.2)


def test_the_picture_moved_moves_the_landmarks(tiny_model, photo):
    aligner = FaceAligner(tiny_model)
    moved = torch.zeros(3, 150, 190)
    moved[:, 10:130, 20:160] = photo
    first = aligner(photo, [BOX])[0]
    second = aligner(moved, [[BOX[0] + 20, BOX[1] + 10, BOX[2], BOX[3]]])[0]
    inside = first.pos + torch.tensor([20.0, 10])
    assert torch.allclose(second.pos, inside, atol=1.0)  # the black around differs where the crop leaves the photo


def test_several_boxes_are_several_faces_and_the_order_stays(tiny_model, photo):
    aligner = FaceAligner(tiny_model)
    boxes = [BOX, [70.0, 60.0, 40.0, 40.0]]
    together = aligner(photo, boxes)
    for face, box in zip(together, boxes, strict=True):
        assert torch.allclose(face.pos, aligner(photo, [box])[0].pos, atol=1e-3)


def test_attention_on_request(tiny_model, photo):
    aligner = FaceAligner(tiny_model)
    assert "edge_weight" not in aligner(photo, [BOX])[0]
    face = aligner(photo, [BOX], attention=True)[0]
    arriving = torch.zeros(68).index_add(0, face.edge_index[1], face.edge_weight)
    assert torch.allclose(arriving, torch.ones(68), atol=1e-5)


def test_a_detector_of_ones_own(tiny_model, photo):
    seen = []

    def detector(image):
        seen.append(image.shape)
        return torch.tensor([BOX])

    aligner = FaceAligner(tiny_model, detector=detector)
    (face,) = aligner(photo)
    assert seen == [(3, 120, 140)]
    assert torch.equal(face.pos, aligner(photo, [BOX])[0].pos)


def test_no_face_is_an_empty_list(tiny_model):
    assert FaceAligner(tiny_model)(torch.zeros(3, 100, 100)) == []
    assert FaceAligner(tiny_model)(torch.zeros(3, 8, 8)) == []


def test_arrays_tensors_and_files_are_the_same_photo(tiny_model, tmp_path):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (120, 140, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    aligner = FaceAligner(tiny_model)
    expected = aligner(tmp_path / "a.png", [BOX])[0].pos
    tensor = torch.tensor(pixels).permute(2, 0, 1) / 255
    for photo in (pixels, pixels / 255, np.dstack([pixels, pixels[..., :1]]), tensor):
        assert torch.allclose(aligner(photo, [BOX])[0].pos, expected, atol=1e-4)
    assert aligner(pixels[..., 0], [BOX])[0].pos.shape == (68, 2)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([10, 10, 0, 5], "no size"),
        ([10, 10, 5, -5], "no size"),
        ([500, 10, 5, 5], "outside of the picture"),
        ([-50, 10, 20, 20], "outside of the picture"),
        ([float("nan"), 10, 5, 5], "outside of the picture"),
    ],
)
def test_impossible_boxes(tiny_model, photo, box, reason):
    with pytest.raises(ValueError, match=reason):
        FaceAligner(tiny_model)(photo, [box])


@pytest.mark.parametrize("shape", [(10,), (10, 10, 2), (0, 10, 3)])
def test_impossible_arrays(tiny_model, shape):
    with pytest.raises(ValueError, match="a photo array must be"):
        FaceAligner(tiny_model)(np.zeros(shape), [BOX])


@pytest.mark.parametrize("box", [[-1e6, -1e6, 2e6, 2e6], [139, 119, 50, 50], [0, 0, 0.5, 0.5]])
def test_extreme_boxes_are_survived(tiny_model, photo, box):
    assert FaceAligner(tiny_model)(photo, [box])[0].pos.isfinite().all()


def test_record_of_a_face(tiny_model, photo):
    aligner = FaceAligner(tiny_model)
    record = to_record(aligner(photo, [BOX])[0], "a/b.jpg", aligner.layout)
    assert record.imgpath == "a/b.jpg"
    assert record.ids == tuple(aligner.layout.ids)
    assert record.landmarks.shape == (68, 2)
    assert len(record.headpose) == 6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_models_of_other_precisions(tiny_model, photo, dtype):
    single = FaceAligner(tiny_model)(photo, [BOX])[0]
    face = FaceAligner(copy.deepcopy(tiny_model).to(dtype))(photo, [BOX])[0]
    assert face.pos.dtype == torch.float32
    assert torch.allclose(face.pos, single.pos, atol=2.0)


@pytest.mark.parametrize("boxes", [[BOX], FaceBoxes(torch.tensor([BOX]), torch.ones(1), torch.tensor([30.0]))])
def test_autocast_is_for_the_model_alone(tiny_model, photo, boxes):
    (plain,) = FaceAligner(tiny_model)(photo, boxes)
    with torch.autocast("cpu", torch.bfloat16):
        (face,) = FaceAligner(tiny_model)(photo, boxes)
    assert torch.equal(face.crop, plain.crop)
    assert torch.equal(face.camera, plain.camera)
    inside = transform_points(face.pos, face.crop)
    expected = transform_points(plain.pos, plain.crop)
    assert (inside - expected).abs().max() < 0.02 * tiny_model.config.image_size


def test_a_model_that_starts_from_a_mean_shape(tiny_model, photo):
    mean = MeanShape(torch.rand(68, 2))
    model = SPIGA(tiny_model.backbone, mean, tiny_model.cascade, tiny_model.layout, config=tiny_model.config)
    face = FaceAligner(model)(photo, [BOX])[0]
    assert "camera" not in face
    corner = transform_points(face.initial, face.crop) / 64
    assert torch.allclose(corner, mean.mean, atol=1e-5)


def test_no_boxes_are_no_faces(tiny_model, photo):
    assert FaceAligner(tiny_model)(photo, boxes=[]) == []


@pytest.mark.parametrize("kind", [list, np.asarray, torch.tensor])
def test_what_a_detector_of_ones_own_returns_is_taken(tiny_model, photo, kind):
    (face,) = FaceAligner(tiny_model, detector=lambda image: kind([[*BOX, 0.9]]))(photo)
    assert face.pos.isfinite().all()
    assert FaceAligner(tiny_model, detector=lambda image: kind([]))(photo) == []


def test_how_sure_is_told_in_photo_pixels(tiny_model, photo):
    model = tiny_model.with_uncertainty().eval()
    face = FaceAligner(model)(photo, [BOX])[0]
    with torch.no_grad():
        out = model(warp_image(photo, face.crop, 64)[None])
    pixels = 96  # side of the crop in the photo
    torch.testing.assert_close(face.covariance, pixels**2 * out.covariance[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(face.sigma.square(), face.covariance.diagonal(dim1=1, dim2=2).mean(dim=1))
    torch.testing.assert_close(face.visible, out.visible[0])
    assert np.array_equal(to_record(face, "a.png", model.layout).visible, face.visible.double().numpy())
