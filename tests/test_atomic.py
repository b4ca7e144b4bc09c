"""Files that appear whole or not at all."""

import os
import threading

import pytest

from pyspiga_geo.atomic import atomic_path


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.txt").write_text("before")
    (tmp_path / "link.txt").symlink_to("real/a.txt")
    with atomic_path(tmp_path / "link.txt") as temporary:
        temporary.write_text("after")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real/a.txt").read_text() == "after"


def test_a_pipe_gets_the_bytes(tmp_path):
    pipe, seen = tmp_path / "pipe.txt", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: seen.append(pipe.read_text()), daemon=True)
    reader.start()
    with atomic_path(pipe) as temporary:
        temporary.write_text("through")
    reader.join(10)
    assert seen == ["through"]
    assert pipe.is_fifo()


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="a file was expected"), atomic_path(tmp_path):
        raise AssertionError("never entered")


def test_the_longest_name_that_a_file_can_have(tmp_path):
    path = tmp_path / ("a" * 251 + ".txt")
    with atomic_path(path) as temporary:
        temporary.write_text("done")
    assert path.read_text() == "done"


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]
