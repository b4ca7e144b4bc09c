"""Seeding of all random numbers."""

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch; data-loading workers derive their seeds from PyTorch's."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the libraries in use draw from the global generator
    torch.manual_seed(seed)


def derive_seed(*numbers: int) -> int:
    """A 32-bit seed derived from numbers such as (seed, epoch, face); other numbers give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
