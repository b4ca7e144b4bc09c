"""Many photos: in order, in batches, by threads, with errors in their places."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
import torch

from pyspiga_geo import FaceAligner
from pyspiga_geo.inference.reading import map_ahead

BOXES = [[[30.0, 20.0, 50.0, 60.0]], [], [[5.0, 6.0, 70.0, 80.0], [40.0, 40.0, 30.0, 30.0]], [[10.0, 10.0, 90.0, 90.0]]]


@pytest.fixture(scope="module")
def photos():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, 110 + 10 * index, 140, generator=generator) for index in range(4)]


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (2, 0), (3, 2), (16, 1)])
def test_many_photos_are_each_photo(tiny_model, photos, batch_size, workers):
    aligner = FaceAligner(tiny_model)
    found = aligner(photos, BOXES, batch_size=batch_size, workers=workers)
    assert [len(faces) for faces in found] == [1, 0, 2, 1]
    for faces, photo, boxes in zip(found, photos, BOXES, strict=True):
        for face, expected in zip(faces, aligner(photo, boxes), strict=True):
            for key, value in expected:
                torch.testing.assert_close(face[key], value, atol=1e-3, rtol=1e-4)


def test_boxes_may_lack_for_some(tiny_model, photos):
    aligner = FaceAligner(tiny_model, detector=lambda image: [[1.0, 2, 30, 30]])
    found = aligner(photos[:2], [None, [[3.0, 4, 20, 20]]])
    assert [face.bbox.tolist() for (face,) in found] == [[1, 2, 30, 30], [3, 4, 20, 20]]
    with pytest.raises(ValueError, match="zip"):
        aligner(photos, BOXES[:2])
    assert aligner([]) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_take_the_place_of_faces_or_end_the_work(tiny_model, photos, workers, tmp_path):
    aligner = FaceAligner(tiny_model)
    mixed, boxes = [photos[0], tmp_path / "absent.png", photos[2]], [BOXES[0], BOXES[0], [[500.0, 1, 2, 2]]]
    first, missing, outside = aligner.stream(mixed, boxes, workers=workers, return_exceptions=True)
    assert len(first) == 1
    assert "absent.png: no such file" in str(missing)
    assert "outside of the picture" in str(outside)
    done = []
    with pytest.raises(ValueError, match=r"absent\.png"):
        done.extend(aligner.stream(mixed, boxes, workers=workers))
    with pytest.raises(ValueError, match="batch_size must be 1 or more"):
        next(aligner.stream(photos, batch_size=0))


@pytest.mark.parametrize("workers", [0, 2])
def test_photos_are_taken_when_their_turn_is_near(tiny_model, photos, workers):
    taken = []

    def endless():
        for number in count():
            taken.append(number)
            yield photos[0]

    stream = FaceAligner(tiny_model).stream(endless(), (BOXES[0] for _ in count()), batch_size=2, workers=workers)
    for _ in range(5):
        next(stream)
    stream.close()
    assert len(taken) <= 12


def test_gradients_stay_as_they_were_between_photos(tiny_model, photos):
    stream = FaceAligner(tiny_model).stream(photos, BOXES, batch_size=1)
    next(stream)
    assert torch.is_grad_enabled()


def test_threads_share_an_aligner(tiny_model, photos):
    aligner = FaceAligner(tiny_model)
    expected = [aligner(photo, boxes) for photo, boxes in zip(photos, BOXES, strict=True)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda index: aligner(photos[index % 4], BOXES[index % 4]), range(32)))
    for index, faces in enumerate(results):
        for face, alone in zip(faces, expected[index % 4], strict=True):
            assert torch.equal(face.pos, alone.pos)


def test_work_ahead_keeps_the_order_and_tells_errors():
    assert list(map_ahead(lambda x: x * x, range(20), 3)) == [x * x for x in range(20)]
    squares = map_ahead(lambda x: 6 // (3 - x), range(20), 2)
    assert [next(squares) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(squares)


@pytest.mark.parametrize("device", ["abc", "cuda:99", "meta9"])
def test_a_device_that_is_not_there_is_named(tiny_model, device):
    with pytest.raises(ValueError, match=f"device '{device}' cannot be used here"):
        FaceAligner(tiny_model, device=device)


def test_boxes_of_several_photos_are_a_list(tiny_model, photos):
    with pytest.raises(ValueError, match="boxes of several photos must be a list with those of each, got float"):
        FaceAligner(tiny_model)(photos, 3.5)
