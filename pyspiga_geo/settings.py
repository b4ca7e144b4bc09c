"""Types and ranges of settings. Settings are data: each message names the invalid one, and what is allowed."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, NamedTuple

CODE_KEYS = ("class_path", "init_args", "dict_kwargs")
"""Keys that would make the reader of configuration files import and call something."""

_DEEPEST, _MOST_VALUES = 30, 100_000
"""Largest depth of nested data, and largest number of values."""


class Whole(NamedTuple):
    """Whole numbers from ``low`` to ``high``."""

    low: int
    high: int

    def __contains__(self, value: object) -> bool:
        """Whether it is one."""
        return isinstance(value, Integral) and not isinstance(value, bool) and self.low <= int(value) <= self.high

    def __str__(self) -> str:
        """What a message says."""
        return f"a whole number from {self.low} to {self.high}"


class Range(NamedTuple):
    """Numbers from ``low`` to ``high``; ``above``: without ``low`` itself, ``below``: without ``high``."""

    low: float
    high: float
    above: bool = False
    below: bool = False

    def __contains__(self, value: object) -> bool:
        """Whether it is one; neither infinite nor NaN."""
        if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
            return False
        number = float(value)
        low = self.low < number if self.above else self.low <= number
        return low and (number < self.high if self.below else number <= self.high)

    def __str__(self) -> str:
        """What a message says."""
        low, high = ("above" if self.above else "from"), ("below" if self.below else "up to")
        return f"a number {low} {self.low:g} and {high} {self.high:g}"


class Pair(NamedTuple):
    """Two numbers of a range, the smaller one first."""

    each: Range

    def __contains__(self, value: object) -> bool:
        """Whether it is such a pair."""
        fits = isinstance(value, list | tuple) and len(value) == 2 and all(part in self.each for part in value)
        return fits and value[0] <= value[1]  # type: ignore[index]  # a list or tuple, as was asked

    def __str__(self) -> str:
        """What a message says."""
        return f"two numbers, the smaller one first, each {self.each}"


Allowed = Mapping[str, Whole | Range | Pair]
"""What the fields of a dataclass may hold, by their names."""


def check_settings(settings: Any, allowed: Allowed, group: str = "", but: Sequence[str] = ()) -> None:
    """Raise ValueError unless the fields of a dataclass, except those in ``but``, have valid types and ranges.

    ``group`` is the name of the group of settings in messages.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Sizes:
        ...     width: int = 3
        >>> check_settings(Sizes(width=-1), {"width": Whole(1, 8)})
        Traceback (most recent call last):
        ValueError: width must be a whole number from 1 to 8, got -1
    """
    for field in (field for field in fields(settings) if field.name not in but):
        value, name = getattr(settings, field.name), f"{group}.{field.name}" if group else field.name
        if field.name in allowed and value not in allowed[field.name]:
            raise ValueError(f"{name} must be {allowed[field.name]}, got {shown(value)}")
        for kind, wanted in ((bool, "true or false"), (str, "text")):
            if isinstance(field.default, kind) and field.name not in allowed and not isinstance(value, kind):
                raise ValueError(f"{name} must be {wanted}, got {shown(value)}")


def refuse_code(value: Any, name: str = "") -> None:
    """Raise ValueError if plain data, at any depth, name a class to import; the message names the key.

    Unbounded data are refused too: values that contain themselves, which YAML can express, and values that are too
    many, too deep or too large.

    Example:
        >>> refuse_code({"model": {"conv": {"class_path": "subprocess.Popen"}}})
        Traceback (most recent call last):
        ValueError: model.conv.class_path: a configuration must not name code to import or run
    """
    remaining, count = [(value, name, 0)], 0
    while remaining:
        value, name, depth = remaining.pop()
        count += 1
        if depth > _DEEPEST or count > _MOST_VALUES:
            raise ValueError(f"{shown(name)[1:-1]}: too many or too deeply nested values for a configuration")
        if isinstance(value, int) and abs(value) > sys.float_info.max:
            raise ValueError(f"{shown(name)[1:-1]}: too large a number for a configuration")
        if isinstance(value, Mapping):
            for key, part in value.items():
                inner = f"{name}.{key}" if name else str(key)
                if not set(CODE_KEYS).isdisjoint(str(key).split(".")):
                    raise ValueError(f"{shown(inner)[1:-1]}: a configuration must not name code to import or run")
                remaining.append((part, inner, depth + 1))
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            remaining += ((part, f"{name}[{number}]", depth + 1) for number, part in enumerate(value))


def shown(value: object) -> str:
    """A value as a message shows it: on one line, and short."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."
