"""Whether two cells differ: by the faces they were measured on, and by the seeds they were trained from."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pyspiga_geo.evaluation import compare_errors

FloatArray = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 1999


@dataclass(frozen=True)
class Difference:
    """Error of one cell minus that of another, on the same faces.

    Attributes:
        difference: mean over faces and trainings.
        low: lower end of its 95 % confidence interval: other faces, and other seeds, might have come.
        high: upper end.
        p_welch: of no difference, over faces and seeds, as the interval.
        p_permutation: of no difference, over faces alone, each face's errors averaged over the trainings.
        p_wilcoxon: the same by the signed ranks of the faces.
    """

    difference: float
    low: float
    high: float
    p_welch: float
    p_permutation: float
    p_wilcoxon: float


def compare_trainings(errors: FloatArray, reference: FloatArray) -> Difference:
    """Compare the trainings [S, F] of one cell with the trainings [R, F] of another: ``errors - reference``."""
    over_faces = compare_errors(errors.mean(axis=0), reference.mean(axis=0), resamples=RESAMPLES)
    difference, reach, p_welch = welch(errors, reference)
    return Difference(
        difference,
        difference - reach,
        difference + reach,
        p_welch,
        over_faces.p_permutation,
        over_faces.p_wilcoxon,
    )


def welch(errors: FloatArray, reference: FloatArray) -> tuple[float, float, float]:
    r"""Mean of ``errors - reference``, how far its interval reaches to either side, and the p-value of no difference.

    The variance of the difference is that of its three parts,

    .. math::
        \frac{s^2_\text{faces}}{F} + \frac{s^2_\text{errors}}{S} + \frac{s^2_\text{reference}}{R},

    the first of the gaps of the faces, averaged over trainings, the others of the means of the trainings, with the
    degrees of freedom of Welch and Satterthwaite. A single training tells nothing of its spread: its part is left out.
    """
    gaps = errors.mean(axis=0) - reference.mean(axis=0)
    samples = (gaps, errors.mean(axis=1), reference.mean(axis=1))
    parts = [(sample.var(ddof=1) / sample.size, sample.size - 1) for sample in samples if sample.size > 1]
    variance = sum(part for part, _ in parts)
    if not variance:  # one face and one training, or the same difference everywhere
        return float(gaps.mean()), 0.0 if parts else math.nan, 1.0
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    error = variance**0.5
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return float(gaps.mean()), reach, float(2 * stats.t.sf(abs(gaps.mean()) / error, freedom))
