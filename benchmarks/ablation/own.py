"""Graph operators of one's own: a file and a name in it, as ``my_conv.py:MaxConv``."""

import importlib.util
import sys
from hashlib import sha256
from pathlib import Path

from pyspiga_geo.nn import ConvFactory


def is_own(conv: str) -> bool:
    """Whether an operator is named by its file."""
    return ".py:" in conv


def load_conv(conv: str) -> str | ConvFactory:
    """The operator of a cell as the cascade takes it: a name stays, ``FILE.py:NAME`` becomes what that file defines.

    Raises:
        ValueError: if there is no such file, or no such function or class in it.
    """
    if not is_own(conv):
        return conv
    path, name = _parts(conv)
    if not path.is_file():
        raise ValueError(f"{conv}: no such file, {path}")
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where PyG looks for the module of a MessagePassing
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        raise ValueError(f"{conv}: {path} defines no function or class {name}")
    factory: ConvFactory = found
    return factory


def fingerprint(conv: str) -> str:
    """What tells two versions of an operator's file apart; empty for an operator that has a name."""
    return sha256(_parts(conv)[0].read_bytes()).hexdigest()[:8] if is_own(conv) else ""


def _parts(conv: str) -> tuple[Path, str]:
    path, _, name = conv.rpartition(":")
    return Path(path), name
