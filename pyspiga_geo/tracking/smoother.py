"""Smoothing of one face's landmarks over time: motion of the whole face and change of its shape."""

import torch
from torch import Tensor

from pyspiga_geo.tracking.smoothing import BETA, MIN_CUTOFF, OneEuroFilter


class FaceSmoother:
    """Smooth the landmarks of a face in two separate parts: the motion of the whole face, and its shape.

    The motion is the similarity transform that fits the first landmarks best to the current ones; the shape is the
    remainder, in the face's own frame. Each has a :class:`OneEuroFilter` in units of the face size. Much of the jitter
    is that of single landmarks, which the filter of the shape removes without any lag when the head moves.

    Args:
        min_cutoff: of both filters, Hz.
        beta: of both filters, Hz per face size and second.

    Raises:
        ValueError: if a setting is out of range.

    Example:
        >>> smooth = FaceSmoother()
        >>> face = torch.tensor([[0.0, 0.0], [100.0, 0.0], [50.0, 80.0]], dtype=torch.float64)
        >>> torch.allclose(smooth(face, 0.0), face)
        True
        >>> smooth(face + 10, 0.04).round()  # it follows fast
        tensor([[  8.,   8.],
                [108.,   8.],
                [ 58.,  88.]], dtype=torch.float64)
    """

    def __init__(self, min_cutoff: float = MIN_CUTOFF, beta: float = BETA) -> None:
        self._motion, self._shape = OneEuroFilter(min_cutoff, beta), OneEuroFilter(min_cutoff, beta)
        self._first: Tensor | None = None

    def reset(self) -> None:
        """Forget all landmarks: the next ones are returned unchanged."""
        self._motion.reset()
        self._shape.reset()
        self._first = None

    def __call__(self, pos: Tensor, time: float) -> Tensor:
        """Smooth the landmarks of the next frame.

        Args:
            pos: [L, 2] in pixels, float64.
            time: in seconds, later than that of the call before.

        Returns:
            Smoothed landmarks [L, 2].
        """
        centre = pos.mean(dim=0)
        points = torch.view_as_complex((pos - centre).contiguous())
        size = points.abs().amax().clamp(min=1) * 2
        if self._first is None:
            self._first = points / size
        # Turn and size as one complex number, by least squares; a single landmark has neither.
        norm = self._first.abs().square().sum()
        motion = (points * self._first.conj()).sum() / norm if norm > 0 else size.to(points)
        shape = self._shape(torch.view_as_real(points / motion), time)
        centre, turn = self._motion(torch.stack([centre, torch.view_as_real(motion)]), time, float(size))
        placed = torch.view_as_complex(shape.contiguous()) * torch.view_as_complex(turn.contiguous())
        return torch.view_as_real(placed) + centre
