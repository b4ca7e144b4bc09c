"""Valid inputs made invalid: of bytes, whatever they mean, and of values in JSON and YAML."""

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np

Random = np.random.Generator

_BORDERS = [0, 1, 2**7 - 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
"""Numbers at which the types of file formats end."""

_RAW = "\ue000raw:"
"""Starts a text that stands for what JSON cannot write."""

_SCALARS = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        3,
        0.5,
        -0.5,
        1.5,
        1e-320,
        1e308,
        -1e308,
        1e7,
        10**18,
        2**31,
        2**63,
        -(2**63),
        2**64,
    ),
    *(float("nan"), float("inf"), -float("inf"), 10**30, 10**400, "", " ", "x", "a" * 5000, "0", "-1", "nan", "1e999"),
    *(
        "null",
        "true",
        "ä\u0301\u202e",
        "😀",
        "\ud800",
        "\x00",
        "line\nbreak",
        "../../x",
        "/dev/zero",
        "a.png",
        "\x7f\x1b[2J",
    ),
    *([], {}, [[]], [0], [1, 2, 3, 4], [None], {"a": 1}, {"": None}, {"class_path": "os.system"}, [float("nan")] * 4),
    *(
        f"{_RAW}{text}"
        for text in ("1" * 5000, "1e999", "-0", "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000)
    ),
]

_YAML = [
    *("!!python/object/apply:os.system [id]", "&a [*a]", "&a {b: *a}", "*missing", "!!binary aGk=", "2001-01-01"),
    *(
        "!!set {a}",
        "{[a]: 1}",
        "{? {a: 1} : 2}",
        "{<<: 3}",
        "{1: 2}",
        "{null: 1}",
        "0x1F",
        "1_000",
        "1:30",
        "~",
        "!x y",
        "@",
    ),
    *(
        ".nan",
        ".inf",
        "-.inf",
        "!!int x",
        "!!float 1e400",
        "!!timestamp 2001-99-99",
        "!!str 3",
        "{a: 1, a: 2}",
        "|",
        "%",
    ),
]


def mutate_bytes(random: Random, valid: Sequence[bytes]) -> bytes:
    """A valid input with one to eight changes of its bytes; the first bytes, where headers are, change most."""
    content = bytearray(valid[random.integers(len(valid))])
    for _ in range(1 + int(random.geometric(0.5)) if random.random() < 0.9 else 8):
        _CHANGES[random.choice(len(_CHANGES), p=_SHARES)](random, content, valid)
        if len(content) > 4_000_000:
            del content[4_000_000:]
    return bytes(content)


def _place(random: Random, content: bytearray) -> int:
    reach = len(content) if random.random() < 0.5 else min(len(content), 256)
    return int(random.integers(reach)) if reach else 0


def _flip(random: Random, content: bytearray, _: Any) -> None:
    if content:
        content[_place(random, content)] ^= 1 << int(random.integers(8))


def _replace(random: Random, content: bytearray, _: Any) -> None:
    if content:
        content[_place(random, content)] = int(random.integers(256))


def _border(random: Random, content: bytearray, _: Any) -> None:
    size = int(random.choice([1, 2, 4, 8]))
    order = "little" if random.random() < 0.5 else "big"
    value = _BORDERS[random.integers(len(_BORDERS))] % 256**size
    start = _place(random, content)
    content[start : start + size] = value.to_bytes(size, order)


def _truncate(random: Random, content: bytearray, _: Any) -> None:
    del content[_place(random, content) :]


def _delete(random: Random, content: bytearray, _: Any) -> None:
    start = _place(random, content)
    del content[start : start + int(random.geometric(0.1))]


def _repeat(random: Random, content: bytearray, _: Any) -> None:
    start, length = _place(random, content), int(random.integers(1, 64))
    content[start:start] = content[start : start + length] * int(random.integers(1, 50))


def _splice(random: Random, content: bytearray, valid: Sequence[bytes]) -> None:
    other = valid[random.integers(len(valid))]
    content[_place(random, content) :] = other[_place(random, bytearray(other)) :]


def _insert(random: Random, content: bytearray, _: Any) -> None:
    start = _place(random, content)
    content[start:start] = random.bytes(int(random.geometric(0.2)))


_CHANGES = [_flip, _replace, _border, _truncate, _delete, _repeat, _splice, _insert]
_SHARES = [0.25, 0.2, 0.2, 0.05, 0.1, 0.05, 0.05, 0.1]


def mutate_numbers(random: Random, valid: Sequence[bytes]) -> bytes:
    """A text of words with some of them replaced, removed or doubled; or changed as bytes."""
    if random.random() < 0.3:
        return mutate_bytes(random, valid)
    words = valid[random.integers(len(valid))].split(b" ")
    for _ in range(int(random.geometric(0.5))):
        place = int(random.integers(len(words)))
        odd = _text(_SCALARS[random.integers(len(_SCALARS))]).encode("utf-8", "surrogatepass")
        words[place : place + 1] = [[odd], [], [words[place]] * 2, [odd, b"\n"]][random.integers(4)]
        words = words or [b""]
    return b" ".join(words)


def mutate_json(random: Random, valid: Sequence[bytes]) -> bytes:
    """A JSON text with other values, keys removed, named twice or anew; or changed as bytes."""
    if random.random() < 0.2:
        return mutate_bytes(random, valid)
    content = json.loads(valid[random.integers(len(valid))])
    return _text(_changed(random, content)).encode("utf-8", "surrogatepass")


def mutate_lines(random: Random, valid: Sequence[bytes]) -> bytes:
    """JSON Lines of which some are changed as JSON, removed, doubled or in another order; or changed as bytes."""
    if random.random() < 0.2:
        return mutate_bytes(random, valid)
    whole = valid[random.integers(len(valid))].splitlines()
    lines = list(whole)
    for _ in range(int(random.geometric(0.6))):
        place = int(random.integers(len(lines))) if lines else 0
        changed = mutate_json(random, [whole[random.integers(len(whole))]] if place >= len(whole) else [whole[place]])
        lines[place : place + 1] = [[changed], [changed], [changed], [], lines[place : place + 1] * 2][
            random.integers(5)
        ]
    return b"\n".join(lines) + b"\n" * int(random.random() < 0.9)


def mutate_yaml(random: Random, valid: Sequence[bytes]) -> bytes:
    """As :func:`mutate_json`, with what only YAML has: anchors, tags, other keys than texts."""
    if random.random() < 0.15:
        return mutate_bytes(random, valid)
    content = json.loads(valid[random.integers(len(valid))])
    odd = [*_SCALARS, *(f"{_RAW}{text}" for text in _YAML)]
    text = _text(_changed(random, content, odd), nan=".nan", inf=".inf")
    return text.encode("utf-8", "surrogatepass")


def _changed(random: Random, content: Any, odd: Sequence[Any] = _SCALARS) -> Any:
    content = deepcopy(content)
    for _ in range(int(random.geometric(0.6))):
        value = odd[random.integers(len(odd))]
        places = [(None, None), *_places(content)]
        parent, key = places[random.integers(len(places))]
        way = random.random()
        if parent is None:
            if way < 0.1:
                content = value
        elif way < 0.7:
            parent[key] = deepcopy(value)
        elif way < 0.8:
            del parent[key]
        elif isinstance(parent, list):
            parent.insert(key, deepcopy(parent[random.integers(len(parent))] if way < 0.9 else value))
        elif way < 0.9:
            parent[f"{_RAW}twice:{key}"] = deepcopy(value)
        else:
            parent[value if isinstance(value, str) and not value.startswith(_RAW) else "strange"] = parent.pop(key)
    return content


def _places(content: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, part in items:
        found.append((content, key))
        inner = _places(part)
        found += inner if len(inner) < 20 else inner[:: max(len(inner) // 20, 1)] + inner[-3:]
    return found


def _text(value: Any, nan: str = "NaN", inf: str = "Infinity") -> str:
    """JSON, where texts may stand for themselves, and keys may come twice."""
    if isinstance(value, dict):
        pairs = [(key.removeprefix(f"{_RAW}twice:"), _text(part, nan, inf)) for key, part in value.items()]
        return "{" + ", ".join(f"{json.dumps(key)}: {part}" for key, part in pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_text(part, nan, inf) for part in value) + "]"
    if isinstance(value, str) and value.startswith(_RAW):
        return value.removeprefix(_RAW)
    if isinstance(value, float) and (value != value or value in (float("inf"), -float("inf"))):
        return nan if value != value else inf if value > 0 else f"-{inf}"
    return json.dumps(value, ensure_ascii=not (isinstance(value, str) and value.isprintable()))
