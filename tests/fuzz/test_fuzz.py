"""The program behind `make fuzz`: its valid inputs are valid, and it sees what must not happen."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fuzz import children
from fuzz.__main__ import KINDS, main
from fuzz.kind import Kind, Prepared
from fuzz.mutations import mutate_bytes, mutate_json, mutate_lines, mutate_numbers, mutate_yaml

SLOW = ("cofw68-pictures", "evaluate", "evaluate-lines", "checkpoint", "weights", "configuration", "aligner")


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_valid_inputs_are_accepted(name: str, tmp_path: Path) -> None:
    if name == "cofw68-pictures":
        pytest.importorskip("h5py")
    prepared = KINDS[name].prepare(tmp_path)
    for content in prepared.valid[: 1 if name in SLOW else None]:
        outcome, why = children.judge(prepared, content, tmp_path)
        assert outcome == "accepted", why


@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_json, mutate_lines, mutate_numbers, mutate_yaml])
def test_mutations_are_many_and_always_the_same(mutate: Callable) -> None:
    def made(seed: int) -> list[bytes]:
        random = np.random.default_rng(seed)
        return [mutate(random, [b'{"a": [1, 2.5, {"b": null}], "c": "d"}']) for _ in range(200)]

    assert made(0) == made(0)
    assert len(set(made(0))) > 100
    assert made(0) != made(1)


def misbehave(content: bytes) -> None:
    match content:
        case b"refuse":
            raise ValueError("that is why")
        case b"silent":
            raise ValueError
        case b"raise":
            raise KeyError("x")
        case b"stop":
            raise SystemExit(2)
        case b"crash":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"hang":
            while True:
                pass
        case b"wait":
            time.sleep(100)
        case b"fill":
            np.ones(10_000_000)


def test_what_must_not_happen_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "MEMORY", 50_000_000)
    monkeypatch.setattr(children, "SECONDS", 1)
    inputs = [b"fine", b"refuse", b"silent", b"raise", b"stop", b"crash", b"hang", b"fill", b"fine", b"wait"]
    prepared = Prepared(inputs, misbehave, named=False)
    kind = Kind("test", 1, lambda folder: prepared, mutate_bytes)

    def read(*numbers: int) -> list[children.Result]:
        return list(children.read_all(kind, prepared, Path("nowhere"), inputs.__getitem__, range(*numbers)))

    found = read(9)
    assert [result.index for result in found] == list(range(9))
    assert [result.outcome[:1] for result in found] == list("arffrfffa")
    details = [result.detail for result in found]
    for index, expected in ((3, "KeyError"), (5, "SIGKILL"), (6, "more than 1 s of processor time"), (7, "GB")):
        assert expected in details[index]
    monkeypatch.setattr(children, "WALL_SECONDS", 0.5)  # on a busy machine the others need longer
    (waited,) = read(9, 10)
    assert (waited.index, waited.outcome) == (9, "failed")
    assert "more than 0.5 s on the clock" in waited.detail


def test_a_run_ends_with_a_table_and_failures_can_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.set_num_threads", lambda number: None)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["fuzz", "--out", str(tmp_path), *arguments])
        return main(), capsys.readouterr().out

    code, said = run("--inputs", "60", "--only", "pts", "--only", "subsets")
    assert (code, "all                     60" in said) == (0, True)
    assert list(tmp_path.iterdir()) == []
    prepared = Prepared([b"fine", b"raise"], misbehave, named=False)
    monkeypatch.setitem(KINDS, "test", Kind("test", 1, lambda folder: prepared, mutate_bytes))
    code, said = run("--inputs", "2", "--only", "test")
    assert (code, 'test.0.1.input: "KeyError' in said) == (1, True)
    code, said = run("--replay", str(tmp_path / "test.0.1.input"))
    assert (code, "Traceback" in said) == (1, True)
