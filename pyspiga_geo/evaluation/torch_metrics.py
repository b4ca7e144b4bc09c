"""Metrics that sum up over batches and processes, as torchmetrics classes; they need the extra ``train``.

Percentiles and the area under the curve need the errors of all faces, so these are kept, each with the number of
its face in the dataset. A face that is seen twice counts once: distributed samplers repeat faces to give every
process the same number of them. What comes out is the same however the faces are split and in whatever order.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from pyspiga_geo.evaluation.head_pose import ANGLES, angle_errors, mean_angle_errors
from pyspiga_geo.evaluation.landmarks import LandmarkMetrics, landmark_metrics
from pyspiga_geo.evaluation.metrics import landmark_errors
from pyspiga_geo.evaluation.normalisers import normaliser, own_normaliser
from pyspiga_geo.layouts.layout import Normaliser

_ROUNDING = 0.01
"""Largest difference between two rows of one face, in percent or degrees, such as batches of other sizes make."""


class _PerFace(Metric):
    """Keeps a row of numbers for every face.

    Args:
        width: Length of a row.
    """

    full_state_update = False
    rows: list[Tensor] | Tensor

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        # One flat state in double precision: a process without faces sends an empty tensor of one dimension and
        # of the metric's dtype, and the others must match it.
        self.set_dtype(torch.float64)
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def _keep(self, index: Tensor, values: np.ndarray) -> None:
        rows = torch.cat([index.double().cpu()[:, None], torch.from_numpy(values)], dim=1)
        self.rows.append(self._placed(rows.flatten()))  # type: ignore[union-attr]  # a list until it is reduced

    def _placed(self, values: Tensor) -> Tensor:
        """Values on the metric's device, where other processes look for them; MPS has no double precision."""
        return values if self.device.type == "mps" else values.to(self.device)

    def _faces(self) -> np.ndarray:
        """The rows [F, width] in the order of the dataset, one per face."""
        rows = dim_zero_cat(self.rows).cpu().numpy() if len(self.rows) else np.zeros(0)
        rows = rows.reshape(-1, 1 + self.width)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        index, first, seen = np.unique(rows[:, 0], return_index=True, return_inverse=True)
        gap = np.abs(rows - rows[first[seen]])
        same = (gap <= _ROUNDING) | (np.isnan(rows) & np.isnan(rows[first[seen]]))
        if not same.all():
            face = int(index[seen[np.argmin(same.all(axis=1))]])
            raise ValueError(f"face {face} was seen twice with different errors: the indexes must name the faces")
        return rows[first, 1:]

    def _scalar(self, value: float) -> Tensor:
        return self._placed(torch.tensor(value, dtype=torch.float64))


class LandmarkError(_PerFace):
    """NME, AUC, failure rate and percentiles over all faces (see :class:`LandmarkMetrics`).

    Args:
        ids: Which landmark each of the L rows is.
        norm: What the errors are divided by: one of ``NORMALISERS``, or two ids. Default: that of the landmarks'
            layout (:func:`own_normaliser`).
        threshold: Upper end of the cumulative curve, percent.
        divisor: See :func:`face_errors`.
        kwargs: Of :class:`torchmetrics.Metric`.

    Example:
        >>> metric = LandmarkError(ids=(7, 12))
        >>> truth = torch.tensor([[[0.0, 0.0], [100.0, 0.0]]])
        >>> metric.update(truth + 3, truth, index=torch.tensor([0]))
        >>> metric.update(truth + 3, truth, index=torch.tensor([0]))  # the same face again
        >>> round(metric.compute()["nme"].item(), 3), metric.metrics().faces
        (4.243, 1)
    """

    higher_is_better = False

    def __init__(
        self,
        ids: Sequence[int],
        norm: Normaliser | None = None,
        threshold: float = 8.0,
        divisor: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(width=len(ids), **kwargs)
        self.ids = tuple(ids)
        self.norm = own_normaliser(ids) if norm is None else norm
        self.threshold = threshold
        self.divisor = divisor

    def update(self, preds: Tensor, target: Tensor, index: Tensor, bbox: Tensor | None = None) -> None:
        """Count the faces of a batch.

        Args:
            preds: Positions [B, L, 2], pixels of the image.
            target: Positions [B, L, 2], pixels; NaN where not annotated.
            index: Number of each face in the dataset, whole numbers [B].
            bbox: Annotated boxes [B, 4] as (x, y, w, h), for the normalisers that need them.

        Raises:
            ValueError: Shapes that do not match, or a face without the normaliser.
        """
        predicted, true = (points.detach().double().cpu().numpy() for points in (preds, target))
        scale = normaliser(true, self.ids, self.norm, None if bbox is None else bbox.double().cpu().numpy())
        if not (scale > 0).all():
            face = int(index[int(np.argmin(scale > 0))])
            raise ValueError(f"face {face}: its points do not define the normaliser {self.norm!r}")
        self._keep(index, landmark_errors(predicted, true, scale))

    def metrics(self) -> LandmarkMetrics:
        """All figures, per face, landmark and contour too, of the faces that this process has seen.

        Of all processes inside of ``with metric.sync_context():``.
        """
        return landmark_metrics(self._faces(), self.ids, self.norm, self.threshold, self.divisor)

    def compute(self) -> dict[str, Tensor]:
        """The figures of the faces of all processes: nme, nme_p90, nme_p95, nme_p99, auc and fr, percent.

        NaN without faces.
        """
        figures = self.metrics() if len(self._faces()) else None
        names = ("nme", "nme_p90", "nme_p95", "nme_p99", "auc", "fr")
        return {name: self._scalar(getattr(figures, name, math.nan)) for name in names}


class HeadPoseError(_PerFace):
    """Mean absolute error of yaw, pitch and roll and the mean of the three over all faces, degrees.

    Args:
        kwargs: Of :class:`torchmetrics.Metric`.

    Example:
        >>> metric = HeadPoseError()
        >>> metric.update(torch.tensor([[179.0, 10, 0]]), torch.tensor([[-179.0, 7, 1]]), index=torch.tensor([0]))
        >>> {name: error.item() for name, error in metric.compute().items()}
        {'yaw': 2.0, 'pitch': 3.0, 'roll': 1.0, 'mean': 2.0}
    """

    higher_is_better = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(width=len(ANGLES), **kwargs)

    def update(self, preds: Tensor, target: Tensor, index: Tensor) -> None:
        """Count the faces of a batch.

        Args:
            preds: (yaw, pitch, roll, ...) [B, 3 or more], degrees.
            target: The same, NaN where unknown.
            index: Number of each face in the dataset, whole numbers [B].

        Raises:
            ValueError: Different numbers of faces, or a known angle without a predicted one.
        """
        predicted, true = (poses.detach().double().cpu().numpy() for poses in (preds, target))
        lacking = (np.isnan(predicted) & ~np.isnan(true))[:, :3].any(axis=1)
        if lacking.any():
            raise ValueError(f"face {int(index[int(lacking.argmax())])}: has a true head pose but no predicted one")
        self._keep(index, angle_errors(predicted, true))

    def compute(self) -> dict[str, Tensor]:
        """The errors over the faces of all processes: yaw, pitch, roll and mean, degrees; NaN where none is known."""
        errors = self._faces()
        return {name: self._scalar(error) for name, error in mean_angle_errors(errors).items()}
