"""A clear error for calls that pass keyword-only arguments by position."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def keyword_hint(function: Callable[P, R]) -> Callable[P, R]:
    """Name the keyword-only arguments in the error when a function is called with too many positional arguments.

    Example:
        >>> @keyword_hint
        ... def scale(x, *, factor=2): ...
        >>> scale(1, 3)
        Traceback (most recent call last):
        TypeError: scale takes 1 argument by position; give the others by keyword: factor
    """
    parameters = inspect.signature(function).parameters.values()
    allowed = sum(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
    keywords = ", ".join(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)
    name = function.__qualname__.removesuffix(".__init__")
    counted = allowed - (next(iter(parameters)).name in ("self", "cls"))

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if len(args) > allowed:
            noun = "argument" if counted == 1 else "arguments"
            raise TypeError(f"{name} takes {counted} {noun} by position; give the others by keyword: {keywords}")
        return function(*args, **kwargs)

    return checked
