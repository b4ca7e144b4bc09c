"""Whether two cells differ: by the faces they were measured on, and by the seeds they were trained from."""

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
        interval: 95 % confidence interval: other faces, and other seeds, might have come.
        p_welch: of no difference, over faces and seeds, as the interval.
        p_permutation: of no difference, over faces alone, each face's errors averaged over the trainings.
        p_wilcoxon: the same by the signed ranks of the faces.
    """

    difference: float
    interval: tuple[float, float]
    p_welch: float
    p_permutation: float
    p_wilcoxon: float


def compare_trainings(errors: FloatArray, reference: FloatArray) -> Difference:
    r"""Compare the trainings [S, F] of one cell with the trainings [R, F] of another: ``errors - reference``.

    The variance of the difference is that of its three parts,

    .. math::
        \frac{s^2_\text{faces}}{F} + \frac{s^2_\text{errors}}{S} + \frac{s^2_\text{reference}}{R},

    the first of the gaps of the faces, averaged over trainings, the others of the means of the trainings, with the
    degrees of freedom of Welch and Satterthwaite. A single training tells nothing of its spread: its part is left out.
    """
    gaps = errors.mean(axis=0) - reference.mean(axis=0)
    over_faces = compare_errors(errors.mean(axis=0), reference.mean(axis=0), resamples=RESAMPLES)
    samples = (gaps, errors.mean(axis=1), reference.mean(axis=1))
    parts = [(sample.var(ddof=1) / sample.size, sample.size - 1) for sample in samples if sample.size > 1]
    variance = sum(part for part, _ in parts)
    if not variance:  # one face and one training, or no difference at all
        return Difference(over_faces.difference, over_faces.interval, 1.0, 1.0, 1.0)
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    error = variance**0.5
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    mean = over_faces.difference
    return Difference(
        difference=mean,
        interval=(mean - reach, mean + reach),
        p_welch=float(2 * stats.t.sf(abs(mean) / error, freedom)),
        p_permutation=over_faces.p_permutation,
        p_wilcoxon=over_faces.p_wilcoxon,
    )
