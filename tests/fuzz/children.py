"""Inputs read in forked processes with limits, so that whatever ends or stops one is found and named."""

import json
import os
import resource
import signal
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fuzz.kind import Kind, Prepared

SECONDS, WALL_SECONDS = 10, 60
"""Of processor time, and on the clock of a machine that does other things too, that one input may take."""

MEMORY = 2 * 2**30
"""Bytes that one input may take."""

_TIMERS = {signal.SIGPROF: "of processor time", signal.SIGALRM: "on the clock"}


class Result(NamedTuple):
    """What became of an input."""

    index: int
    outcome: str
    """``accepted``, ``refused`` or ``failed``."""
    detail: str = ""
    seconds: float = 0.0


def make_input(kind: Kind, prepared: Prepared, seed: int, index: int) -> bytes:
    """An input by its number; the first ones are valid."""
    if index < len(prepared.valid):
        return prepared.valid[index]
    random = np.random.default_rng([seed, zlib.crc32(kind.name.encode()), index])
    return kind.mutate(random, prepared.valid)


def judge(prepared: Prepared, content: bytes, folder: Path) -> tuple[str, str]:
    """Outcome of reading an input, and why."""
    try:
        prepared.read(content)
    except (ValueError, OSError) as error:
        said = str(error)
        if not said.strip():
            return "failed", f"an error without a sentence\n{traceback.format_exc()}"
        if prepared.named and str(folder) not in said:
            return "failed", f"an error that does not name the file: {said[:500]}\n{traceback.format_exc()}"
        return "refused", said
    except SystemExit as stop:
        return ("refused", "usage") if stop.code == 2 else ("failed", f"exit code {stop.code}")
    except BaseException:
        return "failed", traceback.format_exc()
    return "accepted", ""


def read_all(
    kind: Kind, prepared: Prepared, folder: Path, contents: Callable[[int], bytes], indexes: range
) -> Iterator[Result]:
    """Read inputs one after another; a child that dies is replaced."""
    start = indexes.start
    while start < indexes.stop:
        receive, send = os.pipe()
        child = os.fork()
        if not child:
            os.close(receive)
            _work(prepared, folder, contents, range(start, indexes.stop), send)
        os.close(send)
        ended = False
        try:
            with os.fdopen(receive, encoding="utf-8") as lines:
                for line in lines:
                    result = Result(*json.loads(line))
                    start = result.index + 1
                    yield result
            ended = True
        finally:
            if not ended:
                os.killpg(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        if status:
            number = signal.Signals(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else None
            why = f"ends the process: {number.name if number else status}"
            if number in _TIMERS:
                why = f"takes more than {SECONDS if number == signal.SIGPROF else WALL_SECONDS} s {_TIMERS[number]}"
            yield Result(start, "failed", why)
            start += 1


def _work(prepared: Prepared, folder: Path, contents: Callable[[int], bytes], indexes: range, send: int) -> None:
    """What a child does; it never returns."""
    try:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        # Twice what is allowed may be reserved, so that what takes too much is told from what could not get it.
        size = 2 * MEMORY + _status("VmSize")
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in _TIMERS:
            signal.signal(number, signal.SIG_DFL)
        with os.fdopen(send, "w", encoding="utf-8") as results:
            for index in indexes:
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
                content, before, began = contents(index), _status("VmRSS"), sum(os.times()[:4])
                outcome, detail = judge(prepared, content, folder)
                seconds = sum(os.times()[:4]) - began
                full = _status("VmHWM") > before + MEMORY
                if full:
                    outcome, detail = "failed", f"takes more than {MEMORY / 2**30:g} GB\n{detail}"
                results.write(json.dumps([index, outcome, detail[-4000:], seconds]) + "\n")
                results.flush()
                if full:  # the peak stays: the rest is for another child
                    break
        os._exit(0)
    except BaseException:
        os._exit(99)


def _status(field: str) -> int:
    """Bytes of ``/proc/self/status``; 0 elsewhere than on Linux."""
    try:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:"))
    except OSError:
        return 0
    return int(line.split()[1]) * 1024
