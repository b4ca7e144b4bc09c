"""Whole films: what is written, and that a second run goes on where the first was stopped."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch

from pyspiga_geo.tracking import FaceTracker, Film, read_film, read_tracks, track_film

FPS, FRAMES = Fraction(25), 12


class Rehearsal:
    """A film of two faces, and how often the model has been asked."""

    def __init__(self, stage, actor):
        self.stage = stage(actor(lambda t: (100 + 60 * t, 150.0)), actor(lambda t: (300.0, 150.0)))
        self.asked = 0

    def __getattr__(self, name):
        return getattr(self.stage, name)

    def __call__(self, photo, boxes):
        self.asked += 1
        return self.stage(photo, boxes)

    def film(self, stop=None, kind="film"):
        """Frames, of which the one of number ``stop`` is interrupted."""

        def read():
            for number in range(FRAMES):
                if number == stop:
                    raise KeyboardInterrupt
                yield float(number / FPS), self.stage.frame(number)

        return Film("play.mp4", kind, 400, 300, FPS, FRAMES, read)

    def track(self, folder, stop=None, out=None, kind="film", **settings):
        self.asked = 0
        tracker = FaceTracker(self, **settings)
        return list(track_film(self.film(stop, kind), tracker, folder / "faces.jsonl", out))


@pytest.fixture
def rehearsal(stage, actor):
    return Rehearsal(stage, actor)


def test_a_line_for_the_film_and_one_for_each_frame(rehearsal, tmp_path):
    frames = rehearsal.track(tmp_path)
    header, *lines = map(json.loads, (tmp_path / "faces.jsonl").read_text().splitlines())
    assert header["film"] == "play.mp4"
    assert (header["width"], header["height"], header["fps"], header["layout"]) == (400, 300, 25, "ibug68")
    assert header["beta"] == 40.0
    assert [line["frame"] for line in lines] == [frame.number for frame in frames] == list(range(FRAMES))
    assert [line["time"] for line in lines] == [number / 25 for number in range(FRAMES)]
    assert [face["identity"] for face in lines[-1]["faces"]] == [1, 2]
    face = frames[-1].faces[0]
    assert torch.allclose(torch.tensor(lines[-1]["faces"][0]["landmarks"]), face.pos, atol=1e-3)
    assert torch.allclose(torch.tensor(lines[-1]["faces"][0]["bbox"]), face.bbox, atol=1e-3)
    for known, frame in zip(read_tracks(tmp_path / "faces.jsonl"), frames, strict=True):
        assert (known.number, known.time, len(known.faces)) == (frame.number, frame.time, len(frame.faces))
        for one, other in zip(known.faces, frame.faces, strict=True):
            assert one.identity == other.identity
            assert torch.equal(one.measured, other.measured)


@pytest.mark.parametrize("torn", [b"", b'{"frame":7,"time":0.28,"fac'])
def test_a_second_run_goes_on_where_the_first_was_stopped(rehearsal, tmp_path, torn):
    whole = tmp_path / "whole"
    whole.mkdir()
    rehearsal.track(whole)
    path = tmp_path / "faces.jsonl"
    with pytest.raises(KeyboardInterrupt):
        rehearsal.track(tmp_path, stop=7)
    assert len(path.read_bytes().splitlines()) == 1 + 7
    with path.open("ab") as file:
        file.write(torn)
    assert len(list(read_tracks(path))) == 7
    assert len(rehearsal.track(tmp_path)) == FRAMES
    assert path.read_bytes() == (whole / "faces.jsonl").read_bytes()
    assert rehearsal.asked <= FRAMES - 7 + 2
    rehearsal.track(tmp_path)
    assert rehearsal.asked == 0
    assert path.read_bytes() == (whole / "faces.jsonl").read_bytes()


def test_a_file_of_another_film_or_setting_is_refused_unless_told(rehearsal, tmp_path):
    rehearsal.track(tmp_path)
    before = (tmp_path / "faces.jsonl").read_bytes()
    with pytest.raises(ValueError, match=r"faces\.jsonl: was made with beta 40\.0, not 1\.0.*--overwrite"):
        rehearsal.track(tmp_path, beta=1.0)
    other = Film("other.mp4", "film", 400, 300, FPS, FRAMES, rehearsal.film().read)
    with pytest.raises(ValueError, match=r"film 'play\.mp4', not 'other\.mp4'"):
        list(track_film(other, FaceTracker(rehearsal), tmp_path / "faces.jsonl"))
    assert (tmp_path / "faces.jsonl").read_bytes() == before
    for _ in range(2):  # begun anew also where it could be continued
        rehearsal.asked = 0
        list(track_film(other, FaceTracker(rehearsal), tmp_path / "faces.jsonl", overwrite=True))
        assert rehearsal.asked >= FRAMES
        assert len(list(read_tracks(tmp_path / "faces.jsonl"))) == FRAMES


def test_a_damaged_file_is_told_by_line(rehearsal, tmp_path):
    rehearsal.track(tmp_path)
    path = tmp_path / "faces.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in ([*lines[:3], b"{}\n", *lines[4:]], [*lines[:3], *lines[4:]], [*lines[:3], b"\0\0\n"]):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(ValueError, match=r"faces\.jsonl: line 4 is"):
            list(read_tracks(path))
    path.write_text('{"frame": 0}\n')
    with pytest.raises(ValueError, match="line 1"):
        list(read_tracks(path))


def test_the_film_is_drawn_whole_also_after_an_interruption(rehearsal, tmp_path):
    pytest.importorskip("av", reason="needs the extra video")
    out = tmp_path / "drawn.mp4"
    with pytest.raises(KeyboardInterrupt):
        rehearsal.track(tmp_path, stop=7, out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["faces.jsonl"]
    rehearsal.track(tmp_path, out=out)
    frames = list(read_film(out))
    assert len(frames) == FRAMES
    for frame in frames:  # black but for what is drawn: two faces in two colours
        blue, orange = (frame.pixels[:, part].astype(int) for part in (slice(0, 200), slice(220, None)))
        assert (blue[..., 2] - blue[..., 0]).max() > 60
        assert (orange[..., 0] - orange[..., 2]).max() > 60
    assert np.abs(frames[0].pixels.astype(int) - frames[-1].pixels).max() > 60


def test_a_camera_that_is_interrupted_has_its_film(rehearsal, tmp_path):
    pytest.importorskip("av", reason="needs the extra video")
    assert len(rehearsal.track(tmp_path, stop=7, out=tmp_path / "drawn.mp4", kind="camera")) == 7
    assert len(list(read_film(tmp_path / "drawn.mp4"))) == 7
    closed = track_film(rehearsal.film(kind="camera"), FaceTracker(rehearsal), tmp_path / "b.jsonl", tmp_path / "b.mp4")
    for _ in range(3):
        next(closed)
    closed.close()
    assert len(list(read_film(tmp_path / "b.mp4"))) == len(list(read_tracks(tmp_path / "b.jsonl"))) == 3
