import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from pyspiga_geo import FaceAligner, FaceData
from pyspiga_geo.layouts import IBUG68
from pyspiga_geo.tracking import FaceSmoother, FaceTracker

FPS = 25.0


def follow(stage, frames, tracker=None, **settings):
    """For each frame which actor has which identity, None for what is no actor."""
    tracker = tracker or FaceTracker(stage, **settings)
    story = []
    for number in range(frames):
        time = number / FPS
        story.append(cast(stage, tracker(stage.frame(number), time), time))
    return story


def cast(stage, faces, time):
    who = {}
    for face in faces:
        distance = {
            torch.dist(actor.pos(time).mean(dim=0), face.measured.mean(dim=0).double()).item(): number
            for number, actor in enumerate(stage.actors)
        }
        who[face.identity] = distance[min(distance)] if min(distance) < 15 else None
    return who


@pytest.mark.parametrize(
    ("speed", "front", "apart"), [(100.0, 0, 12.0), (150.0, 1, 0.0), (400.0, 0, 0.0), (400.0, 1, 12.0)]
)
def test_two_who_cross_keep_their_identities(stage, actor, speed, front, apart):
    seconds = 260 / speed
    two = stage(
        actor(lambda t: (70 + speed * t, 150.0), depth=float(front == 0)),
        actor(lambda t: (330 - speed * t, 150.0 + apart), depth=float(front == 1)),
        noise=0.3,
    )
    story = follow(two, int(seconds * FPS))
    assert story[0] == story[-1] == {1: 1, 2: 0} or story[0] == story[-1] == {1: 0, 2: 1}
    assert {identity for who in story for identity in who} == {1, 2}


def test_who_turns_back_before_another_is_not_taken_for_them(stage, actor):
    """Followed all the time: how the two moved before they met is not asked."""
    two = stage(
        actor(lambda t: (100 + 80 * (1 - abs(t - 1)), 150.0)),
        actor(lambda t: (300 - 40 * (1 - abs(t - 1)), 150.0)),
    )
    story = follow(two, 50)
    assert all(who == story[0] for who in story)


def test_a_face_found_again_soon_is_the_same_and_later_a_new_one(stage, actor):
    one = stage(actor(lambda t: (100 + 30 * t, 150.0), there=lambda t: not (1 <= t < 1.6 or 3 <= t < 6)))
    story = follow(one, 170)
    assert story[24] == story[45] == story[74] == {1: 0}
    assert story[35] == {}  # by then the detector has not found it three times
    assert story[-1] == {2: 0}


def test_a_face_found_again_elsewhere_is_a_new_one(stage, actor):
    one = stage(actor(lambda t: (80.0 if t < 1 else 330.0, 150.0), there=lambda t: not 1 <= t < 1.6))
    assert follow(one, 60)[-1] == {2: 0}


def test_a_newcomer_gets_a_new_identity_and_none_is_given_twice(stage, actor):
    stage = stage(
        actor(lambda t: (100.0, 150.0)),
        actor(lambda t: (300.0, 150.0), there=lambda t: 0.5 <= t < 1),
        actor(lambda t: (300.0, 100.0), there=lambda t: t >= 3),
    )
    story = follow(stage, 100)
    assert story[5] == {1: 0}
    assert story[22] == {1: 0, 2: 1}
    assert story[60] == {1: 0}
    assert story[-1] == {1: 0, 3: 2}


def test_who_leaves_the_picture_is_no_face_any_more(stage, actor):
    story = follow(stage(actor(lambda t: (200 + 200 * t, 150.0))), 50)
    assert story[20] == {1: 0}
    assert story[30:] == [{}] * 20


def test_the_detector_runs_now_and_then_and_while_a_face_is_lost(stage, actor):
    calm = stage(actor(lambda t: (100.0, 150.0)), actor(lambda t: (300.0, 150.0)))
    follow(calm, 30, detect_every=10)
    assert calm.detections == 3
    hidden = stage(actor(lambda t: (100.0, 150.0), there=lambda t: t < 0.5))
    follow(hidden, 40, detect_every=10)
    assert 20 < hidden.detections <= 31


def test_what_the_detector_does_not_find_three_times_is_lost(stage, actor):
    ghost = stage(actor(lambda t: (100.0, 150.0), seen_by_detector=lambda t: t < 0.1))
    story = follow(ghost, 20, detect_every=5)
    assert story[7] == {}  # frames 5, 6 and 7
    assert story[6] == {1: 0}
    blinking = stage(actor(lambda t: (100.0, 150.0), seen_by_detector=lambda t: round(t * FPS) % 3 == 0))
    assert follow(blinking, 40, detect_every=5)[-1] == {1: 0}


@pytest.mark.parametrize("turn", [0.0, 40.0, 90.0, 180.0])
def test_tilted_faces_are_followed_along_their_own_axes(stage, actor, turn):
    tilted = stage(actor(lambda t: (100 + 40 * t, 150.0), turn=turn))
    given = []
    call = type(tilted).__call__

    class Spy(type(tilted)):
        def __call__(self, photo, boxes):
            given.append(boxes)
            return call(self, photo, boxes)

    spy = Spy(*tilted.actors)
    assert follow(spy, 20)[-1] == {1: 0}
    box, turned = given[-1].box[0], abs(given[-1].turn[0].item())
    assert turned == pytest.approx(turn, abs=0.1)
    width, height = np.ptp(IBUG68.shape3d[:, 1:], axis=0)
    assert (box[3] / box[2]).item() == pytest.approx(height / width, abs=0.01)


def test_faces_upside_down_are_found_when_asked():
    from skimage.data import astronaut

    frame = np.rot90(astronaut()[:256, 100:356], 2).copy()
    tracker = FaceTracker(FaceAligner(views=1), upright=False)
    for number in range(2):  # found, then followed
        (face,) = tracker(frame, number / FPS)
        from_eye_to_eye = face.pos[45] - face.pos[36]
        assert -from_eye_to_eye[0] > 5 * from_eye_to_eye[1].abs()
        assert face.pos[8, 1] < face.pos[27, 1]  # the chin is above the nose


def test_smoothing_takes_the_jitter_and_can_be_left_out(stage, actor):
    still = stage(actor(lambda t: (100.0, 150.0)), noise=0.5)
    tracker = FaceTracker(still)
    faces = [tracker(still.frame(number), number / FPS)[0] for number in range(50)]
    jitter = {key: torch.stack([face[key] for face in faces]).diff(n=2, dim=0).norm(dim=-1).mean() for key in
              ("pos", "measured")}  # fmt: skip
    assert jitter["pos"] < jitter["measured"] / 3
    smooth = FaceSmoother()
    for number, face in enumerate(faces[:5]):
        assert torch.allclose(face.pos.double(), smooth(face.measured.double(), number / FPS), atol=1e-3)
    plain = FaceTracker(still, smooth=False)
    (face,) = plain(still.frame(0), 0.0)
    assert torch.equal(face.pos, face.measured)


def test_a_film_that_is_replayed_goes_on_as_if_never_stopped(stage, actor):
    def two():
        torch.manual_seed(0)
        return stage(
            actor(lambda t: (70 + 150 * t, 150.0), depth=1.0), actor(lambda t: (330 - 150 * t, 150.0)), noise=0.3
        )

    def landmarks(faces):
        return {face.identity: face.pos for face in faces}

    world, whole = two(), []
    tracker = FaceTracker(world)
    recorded = []
    states = []
    for number in range(45):
        states.append(torch.get_rng_state())
        recorded.append(tracker(world.frame(number), number / FPS))
        whole.append(landmarks(recorded[-1]))
    for stopped in (1, 20, 30):  # before, while and after they cross
        again = FaceTracker(world)
        for number in range(stopped):
            again.replay(number / FPS, {face.identity: face.measured for face in recorded[number]})
        torch.set_rng_state(states[stopped])
        for number in range(stopped, 45):
            found = landmarks(again(world.frame(number), number / FPS))
            assert found.keys() == whole[number].keys()
            assert all(torch.equal(found[identity], whole[number][identity]) for identity in found)


def test_faces_can_be_batched(stage, actor):
    world = stage(actor(lambda t: (100.0, 150.0)), actor(lambda t: (300.0, 150.0)))
    faces = FaceTracker(world)(world.frame(0), 0.0)
    assert all(isinstance(face, FaceData) for face in faces)
    batch = Batch.from_data_list(faces)
    assert batch.identity.tolist() == [1, 2]
    assert batch.measured.shape == (136, 2)
    assert batch.bbox.shape == (2, 4)


def test_impossible_settings_and_moments(stage, actor):
    world = stage(actor(lambda t: (100.0, 150.0)))
    for name, value in (("detect_every", 0), ("min_cutoff", 0.0), ("beta", -1.0)):
        with pytest.raises(ValueError, match=name):
            FaceTracker(world, **{name: value})
    tracker = FaceTracker(world)
    tracker(world.frame(0), 1.0)
    for time in (1.0, 0.5, float("nan")):
        with pytest.raises(ValueError, match="time must be seconds, later than the 1"):
            tracker(world.frame(1), time)
