"""Principal components of annotated shapes."""

import numpy as np
import pytest

from pyspiga_geo.layouts.shape_modes import shape_modes

COUNT, IDS = 6, tuple(range(6))


def faces(number: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turned, scaled and shifted shapes that vary along one direction; that mean and direction."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(COUNT, 2))
    mean -= mean.mean(axis=0)
    mean /= np.sqrt((mean**2).sum(axis=1).mean())
    x, y = mean.T
    similar = np.stack([[*[1, 0] * COUNT], [*[0, 1] * COUNT], mean.ravel(), np.stack([-y, x], 1).ravel()], axis=1)
    direction = np.linalg.qr(np.column_stack([similar, rng.normal(size=2 * COUNT)]))[0][:, -1].reshape(COUNT, 2)
    shapes = mean + 0.05 * rng.normal(size=(number, 1, 1)) * direction
    z = (shapes[..., 0] + 1j * shapes[..., 1]) * (rng.uniform(1, 90, number) * np.exp(1j * rng.uniform(-1, 1, number)))[
        :, None
    ]
    z += rng.normal(size=(number, 1)) * 100
    return np.stack([z.real, z.imag], axis=-1), mean, direction


def test_the_direction_of_variation_is_found() -> None:
    points, mean, direction = faces()
    found = shape_modes(points, IDS, num_modes=2)
    turn = (mean[:, 0] + 1j * mean[:, 1]).conj() @ (found.mean[:, 0] + 1j * found.mean[:, 1])
    turn /= abs(turn)
    expected = (direction[:, 0] + 1j * direction[:, 1]) * turn  # in the mean orientation of the faces
    first = found.modes[:, 0, 0] + 1j * found.modes[:, 1, 0]
    assert abs((expected.conj() @ first).real) > 0.999
    assert found.variances[0] == pytest.approx(0.05**2, rel=0.15)
    assert found.variances[1] < 0.01 * found.variances[0]  # what is left of it in second order
    assert found.residual < 1e-5
    modes = found.modes.reshape(2 * COUNT, 2)
    np.testing.assert_allclose(modes.T @ modes, np.eye(2), atol=1e-12)


def test_the_residual_is_the_mean_variance_of_what_is_left() -> None:
    points = np.random.default_rng(1).normal(size=(50, COUNT, 2))
    whole, some = shape_modes(points, IDS, 2 * COUNT - 4), shape_modes(points, IDS, 3)
    assert whole.residual == 0
    assert some.residual == pytest.approx(whole.variances[3:].mean())
    np.testing.assert_allclose(some.variances, whole.variances[:3])


def test_mirror_images_count() -> None:
    points, flip = np.random.default_rng(2).normal(size=(30, COUNT, 2)), (1, 0, 3, 2, 5, 4)
    both = np.concatenate([points, points[:, flip] * [-1, 1]])
    np.testing.assert_allclose(
        shape_modes(points, IDS, 4, flip).variances, shape_modes(both, IDS, 4).variances, rtol=1e-6
    )


def test_faces_that_lack_a_landmark_do_not_count() -> None:
    points = np.random.default_rng(3).normal(size=(30, COUNT, 2))
    lacking = points[:5].copy()
    lacking[:, 2] = np.nan
    together = shape_modes(np.concatenate([lacking, points]), IDS, 3)
    np.testing.assert_allclose(together.variances, shape_modes(points, IDS, 3).variances)
    with pytest.raises(ValueError, match="3 modes of shape need 4 faces or more with all 6 landmarks, 0 of 5 have"):
        shape_modes(lacking, IDS, 3)


@pytest.mark.parametrize("modes", [-1, 9])
def test_modes_out_of_range(modes: int) -> None:
    with pytest.raises(ValueError, match=rf"num_modes must be in 0..8 with 6 landmarks, got {modes}"):
        shape_modes(np.zeros((30, COUNT, 2)), IDS, modes)
