"""Films in, frames out; frames in, films out."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from pyspiga_geo.data import ImageError
from pyspiga_geo.tracking import read_film, write_film
from pyspiga_geo.tracking.writing import is_own_film

RATE = Fraction(30000, 1001)


@pytest.fixture
def av():
    return pytest.importorskip("av", reason="needs the extra video")


def moving(number, width=96, height=64):
    """A frame with a white square that moves to the right."""
    pixels = np.full((height, width, 3), 40, dtype=np.uint8)
    pixels[20:40, 2 * number : 2 * number + 20] = 250
    return pixels


def make_film(path, frames=12, width=96, height=64):
    with write_film(path, width, height, RATE) as film:
        for number in range(frames):
            film.write(moving(number, width, height), number / RATE)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(("width", "height"), [(96, 64), (95, 63)])
def test_what_is_written_is_read(av, tmp_path, suffix, width, height):
    film = read_film(make_film(tmp_path / f"a{suffix}", width=width, height=height))
    assert (film.kind, film.width, film.height, film.fps) == ("film", 96, 64, RATE)
    frames = list(film)
    assert [frame.number for frame in frames] == list(range(12))
    assert film.frames == 12
    for number, frame in enumerate(frames):
        assert frame.time == pytest.approx(number / RATE, abs=1e-3)
        assert np.abs(frame.pixels[:height, :width].astype(int) - moving(number, width, height)).mean() < 4
    assert len(list(film)) == 12  # again from the beginning


def test_frames_keep_their_own_times(av, tmp_path):
    times = [0.0, 0.05, 0.2, 0.21, 1.0]
    with write_film(tmp_path / "a.mp4", 96, 64, Fraction(25)) as film:
        for number, time in enumerate(times):
            film.write(moving(number), time)
    assert [frame.time for frame in read_film(tmp_path / "a.mp4")] == pytest.approx(times, abs=1e-3)


def test_without_an_encoder_for_h264_mpeg4_is_taken(av, tmp_path, monkeypatch):
    import pyspiga_geo.tracking.writing as writing

    monkeypatch.delitem(writing._CODECS, "libx264")
    path = make_film(tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert np.abs(list(read_film(path))[-1].pixels.astype(int) - moving(11)).mean() < 4


def test_a_film_appears_whole_or_not_at_all(av, tmp_path):
    def interrupted():
        with write_film(tmp_path / "a.mp4", 96, 64, RATE) as film:
            film.write(moving(0), 0.0)
            assert not (tmp_path / "a.mp4").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_own_films_are_known(av, tmp_path):
    for suffix in (".mp4", ".mkv"):
        assert is_own_film(make_film(tmp_path / f"a{suffix}"))
    (tmp_path / "text.mp4").write_text("no film")
    assert not is_own_film(tmp_path / "text.mp4")
    with av.open(str(tmp_path / "b.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(moving(0), format="rgb24")))
        container.mux(stream.encode(None))
    assert not is_own_film(tmp_path / "b.mp4")


def test_films_of_phones_are_turned_upright(av, tmp_path):
    """What the header of an MP4 says of its display: turned clockwise by 90 degrees."""
    path = make_film(tmp_path / "a.mp4")
    content = bytearray(path.read_bytes())
    unit, start = 1 << 16, content.index(b"tkhd") + 4 + 40
    matrix = (0, unit, 0, -unit, 0, 0, 0, 0, 1 << 30)
    content[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(content)
    film = read_film(path)
    assert (film.width, film.height) == (64, 96)
    assert np.abs(next(iter(film)).pixels.astype(int) - np.rot90(moving(0), -1)).mean() < 4


def test_a_film_cut_short_is_read_as_far_as_it_goes(av, tmp_path):
    path = make_film(tmp_path / "a.mkv", frames=60)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert 5 < len(list(read_film(path))) < 60


def test_frames_of_a_folder_come_in_natural_order(tmp_path):
    for number in (0, 2, 10, 9):
        Image.fromarray(moving(number)).save(tmp_path / f"Frame{number}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / ".frame1.png").write_text("hidden")
    film = read_film(tmp_path, fps=10)
    assert (film.kind, film.width, film.height, film.frames, film.fps) == ("folder", 96, 64, 4, 10)
    for expected, frame in zip((0, 2, 9, 10), film, strict=True):
        assert np.array_equal(frame.pixels, moving(expected))
    assert [frame.time for frame in film] == [0, 0.1, 0.2, 0.3]
    assert read_film(tmp_path).fps == 25


def test_bad_frames_are_named(tmp_path):
    Image.fromarray(moving(0)).save(tmp_path / "0.png")
    Image.fromarray(moving(0, width=80)).save(tmp_path / "1.png")
    with pytest.raises(ValueError, match=r"1\.png: 80 x 64 pixels, but the first frame has 96 x 64"):
        list(read_film(tmp_path))
    (tmp_path / "1.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"1\.png"):
        list(read_film(tmp_path))


def test_what_is_no_film_is_told(av, tmp_path):
    (tmp_path / "text.mp4").write_text("no film" * 500)
    (tmp_path / "empty").mkdir()
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for name, reason in (("text.mp4", "not a film"), ("empty", "no pictures"), ("sound.mp4", "no pictures")):
        with pytest.raises(ValueError, match=f"{name}: .*{reason}"):
            read_film(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no such film"):
        read_film(tmp_path / "absent.mp4")
    with pytest.raises(FileNotFoundError, match="no such camera"):
        read_film("/dev/video987")
    with pytest.raises((ValueError, OSError), match="/dev/null"):
        read_film("/dev/null")
    with pytest.raises(ValueError, match="fps is for folders"):
        read_film(make_film(tmp_path / "a.mp4"), fps=10)
    with pytest.raises(ValueError, match="fps must be"):
        read_film(tmp_path / "empty", fps=0)
    with pytest.raises(ValueError, match=r"a\.avi: the name of a film must end in one of \.mp4"):
        make_film(tmp_path / "a.avi")


def test_time_stamps_that_go_back_are_mended(tmp_path):
    from dataclasses import replace

    Image.fromarray(moving(0)).save(tmp_path / "0.png")
    film = replace(read_film(tmp_path), read=lambda: ((stamp, moving(0)) for stamp in (5.0, 5.04, 5.04, None, 5.2)))
    assert [frame.time for frame in film] == pytest.approx([0, 0.04, 0.08, 0.12, 0.2])
