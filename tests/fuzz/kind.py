"""What a kind of input is made of."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

Mutate = Callable[[np.random.Generator, Sequence[bytes]], bytes]


class Prepared(NamedTuple):
    """A kind ready to work in a folder."""

    valid: Sequence[bytes]
    read: Callable[[bytes], None]
    """Gives an input to the reader, and checks what comes back. May raise ValueError and OSError."""
    named: bool = True
    """Whether the reader's error must name the file."""


class Kind(NamedTuple):
    """A kind of input, and the reader that gets it."""

    name: str
    share: int
    """Inputs among those of all kinds, by their cost."""
    prepare: Callable[[Path], Prepared]
    mutate: Mutate
