"""Each tutorial starts as in a process of its own, although the gallery runs them all in one."""

from typing import Any

import torch


def reset(gallery_conf: dict[str, Any], fname: str) -> None:
    """Called by sphinx-gallery before each tutorial."""
    torch.set_grad_enabled(True)
    torch.manual_seed(0)
