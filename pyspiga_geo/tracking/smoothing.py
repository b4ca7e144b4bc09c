"""The 1€ filter for positions that arrive over time."""

import math

import torch
from torch import Tensor

MIN_CUTOFF = 1.0
"""Default cutoff frequency in Hz for a landmark that does not move."""

BETA = 40.0
"""Default increase of the cutoff, in Hz, at a speed of one face size per second."""

_SPEED_CUTOFF = 1.0
"""Cutoff frequency in Hz of the estimated speed, as in the paper."""


class OneEuroFilter:
    r"""Low-pass filter for positions over time, weaker the faster they move.

    Casiez, Roussel, Vogel: 1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems,
    CHI 2012. Every coordinate x is filtered separately:

    .. math::
        \hat x_i = \alpha(f_c) x_i + (1 - \alpha(f_c)) \hat x_{i-1}, \quad
        f_c = f_{c,min} + \beta |\hat{\dot x}_i| / s, \quad
        \alpha(f) = \frac{1}{1 + 1 / (2 \pi f \Delta t)}

    where the speed is :math:`(x_i - x_{i-1}) / \Delta t`, smoothed in the same way with a cutoff of 1 Hz. It is divided
    by the face's size s, so that one setting suits large and small faces: with a constant size this is the filter of
    the paper on positions in face sizes.

    Args:
        min_cutoff: :math:`f_{c,min}` in Hz. Lower: less jitter of faces at rest.
        beta: Hz per face size and second. Higher: less lag of faces in motion.

    Raises:
        ValueError: if the cutoff is not above 0, or beta is below 0.

    Example:
        >>> smooth = OneEuroFilter(min_cutoff=1.0, beta=0.0)
        >>> positions = torch.tensor([[[0.0, 0.0]], [[1.0, 2.0]], [[1.0, 2.0]]])
        >>> torch.stack([smooth(pos, time / 10) for time, pos in enumerate(positions)])[:, 0, 0]
        tensor([0.0000, 0.3859, 0.6228])
    """

    def __init__(self, min_cutoff: float = MIN_CUTOFF, beta: float = BETA) -> None:
        if not (math.isfinite(min_cutoff) and min_cutoff > 0):
            raise ValueError(f"min_cutoff must be above 0 Hz, got {min_cutoff}")
        if not (math.isfinite(beta) and beta >= 0):
            raise ValueError(f"beta must be 0 or more, got {beta}")
        self.min_cutoff, self.beta = min_cutoff, beta
        self.reset()

    def reset(self) -> None:
        """Forget all positions: the next one is returned unchanged."""
        self._time: float | None = None
        self._last = self._smooth = self._speed = torch.empty(0)

    def __call__(self, pos: Tensor, time: float, size: float = 1.0) -> Tensor:
        """Smooth the next positions.

        Args:
            pos: [L, 2], or any other shape, in any unit.
            time: seconds, later than that of the call before.
            size: of the face, in the unit of ``pos``.

        Returns:
            Smoothed positions of the same shape and type.

        Raises:
            ValueError: if the time is not later than the one before, or the size is not above 0.
        """
        if not size > 0:
            raise ValueError(f"size must be above 0, got {size}")
        if self._time is None:
            self._smooth, self._speed = pos, torch.zeros_like(pos)
        else:
            step = time - self._time
            if not step > 0:
                raise ValueError(f"time must be later than {self._time} s, got {time} s")
            speed = (pos - self._last) / step
            self._speed = torch.lerp(self._speed, speed, _weight(torch.full_like(pos, _SPEED_CUTOFF), step))
            cutoff = self.min_cutoff + self.beta * self._speed.abs() / size
            self._smooth = torch.lerp(self._smooth, pos, _weight(cutoff, step))
        self._last, self._time = pos, time
        return self._smooth


def _weight(cutoff: Tensor, step: float) -> Tensor:
    """Weight of the newest value in a low-pass filter, for cutoffs in Hz and a step in seconds."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))
