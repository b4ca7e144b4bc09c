import pytest
import torch
from torch import Tensor
from torch_geometric.nn import Linear

from pyspiga_geo.nn import NodeMLP, RelativePositionEncoder


def displacements(pos: Tensor) -> Tensor:
    """p_i - p_j for all j != i, in order, side by side: [B, L, 2 (L - 1)]."""
    return torch.stack(
        [
            torch.stack([torch.cat([p - q for j, q in enumerate(face) if j != i]) for i, p in enumerate(face)])
            for face in pos
        ]
    )


def given_to_the_mlp(encoder: RelativePositionEncoder, pos: Tensor) -> Tensor:
    seen: list[Tensor] = []
    encoder.mlp.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    encoder.to(pos.dtype).eval()(pos)
    return seen[0].reshape(*pos.shape[:-1], -1)


@pytest.mark.parametrize("num_landmarks", [2, 3, 7])
def test_displacements_are_laid_side_by_side_in_order(num_landmarks: int) -> None:
    pos = torch.rand(4, num_landmarks, 2, dtype=torch.float64)
    seen = given_to_the_mlp(RelativePositionEncoder(num_landmarks, 8), pos)
    assert torch.equal(seen, displacements(pos))


def test_three_landmarks_by_hand() -> None:
    pos = torch.tensor([[[0.0, 0], [1, 10], [3, 30]]])
    assert given_to_the_mlp(RelativePositionEncoder(3, 8), pos).tolist() == [
        [[-1, -10, -3, -30], [1, 10, -2, -20], [3, 30, 2, 20]]
    ]


def test_embedding_is_an_mlp_of_the_displacements() -> None:
    encoder = RelativePositionEncoder(4, 8, hidden_channels=(5, 7)).double().eval()
    pos = torch.rand(2, 4, 2, dtype=torch.float64)
    out = encoder(pos)
    assert out.shape == (2, 4, 8)
    torch.testing.assert_close(out, encoder.mlp(displacements(pos)))
    sizes = [tuple(value.shape) for value in encoder.parameters() if value.dim() == 2]
    assert sizes == [(5, 6), (7, 5), (8, 7)]


def test_moving_the_whole_face_changes_nothing() -> None:
    encoder = RelativePositionEncoder(4, 8).double().eval()
    pos = torch.rand(2, 4, 2, dtype=torch.float64)
    shifted = pos + torch.tensor([0.3, -0.2], dtype=torch.float64)
    torch.testing.assert_close(encoder(shifted), encoder(pos))
    assert not torch.allclose(encoder(pos.flip(1)), encoder(pos).flip(1))  # it knows which landmark is which


@pytest.mark.parametrize(("batch", "num_landmarks"), [(3, 6), (6, 6), (3, 4), (6, 4)])
def test_batch_norm_works_on_channels(batch: int, num_landmarks: int) -> None:
    # Six channels: with six landmarks, or six faces, a norm on the wrong axis would not be noticed by its shape.
    encoder = RelativePositionEncoder(num_landmarks, 6, hidden_channels=(6,)).double().train()
    pos = torch.rand(batch, num_landmarks, 2, dtype=torch.float64)
    first, second = (module for module in encoder.modules() if isinstance(module, Linear))
    hidden = first(displacements(pos))  # [B, L, channels]: each channel over all landmarks of all faces
    mean, variance = hidden.mean(dim=(0, 1)), hidden.var(dim=(0, 1), correction=0)
    expected = second(((hidden - mean) / (variance + 1e-5).sqrt()).relu())
    torch.testing.assert_close(encoder(pos), expected, rtol=0, atol=1e-10)


def test_node_mlp_ends_without_norm_or_activation() -> None:
    mlp = NodeMLP([3, 4, 5, 2]).double()
    kinds = [type(module).__name__ for module in mlp.modules()]
    assert kinds.count("Linear") == 3
    assert sum("BatchNorm" in kind for kind in kinds) >= 2
    channels = {value.numel() for name, value in mlp.named_buffers() if name.endswith("running_mean")}
    assert channels == {4, 5}
    assert (mlp(torch.randn(64, 3, dtype=torch.float64)) < 0).any()
    assert mlp(torch.randn(2, 3, 4, 3, dtype=torch.float64)).shape == (2, 3, 4, 2)


@pytest.mark.parametrize("num_landmarks", [0, 1])
def test_fewer_than_two_landmarks_have_no_relative_position(num_landmarks: int) -> None:
    with pytest.raises(ValueError, match=f"at least 2, got {num_landmarks}"):
        RelativePositionEncoder(num_landmarks, 8)


def test_order_is_not_part_of_the_state() -> None:
    assert not any("others" in name for name in RelativePositionEncoder(3, 8).state_dict())
