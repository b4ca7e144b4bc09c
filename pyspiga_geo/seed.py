"""The one place that randomness is seeded through."""

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch; data-loading workers derive their seeds from PyTorch's."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the libraries in use draw from the global generator
    torch.manual_seed(seed)


def derive_seed(*numbers: int) -> int:
    """A seed of 32 bits for what these numbers name, such as (seed, epoch, face); others get unrelated ones."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
