import pytest
import torch
from torch import Tensor, nn

from pyspiga_geo.nn import GraphBlock, LandmarkAttention, make_conv

EDGES = torch.tensor([[0, 1, 2, 4, 3, 1], [1, 0, 0, 2, 4, 3]])


def settled(block: GraphBlock) -> GraphBlock:
    """In double precision, with the running statistics of batch norm as if trained, in evaluation mode."""
    for module in block.double().modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return block.eval()


def update_by_hand(block: GraphBlock, x: Tensor, message: Tensor) -> Tensor:
    """MLP([f || m]) written out."""
    state = block.update.state_dict()
    weights = [value for name, value in state.items() if name.endswith("weight") and value.dim() == 2]
    (first, second), joined = weights, torch.cat([x, message], dim=-1)
    linear_biases = [state[name.replace("weight", "bias")] for name in state if state[name].dim() == 2]
    (norm,) = (module for module in block.modules() if isinstance(module, nn.BatchNorm1d))
    hidden = joined @ first.T + linear_biases[0]
    hidden = (hidden - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    return hidden.relu() @ second.T + linear_biases[1]


@pytest.mark.parametrize("edges", [None, EDGES], ids=["complete", "sparse"])
@pytest.mark.parametrize("shape", [(5, 4), (3, 5, 4)])
def test_residual_update(shape: tuple[int, ...], edges: Tensor | None) -> None:
    block = settled(GraphBlock(4, 4, make_conv(heads=2)))
    x = torch.randn(shape, dtype=torch.float64)
    expected = x + update_by_hand(block, x, block.conv(x, edges))
    torch.testing.assert_close(block(x, edges), expected, rtol=0, atol=1e-12)


def test_skip_is_a_linear_map_where_the_width_changes() -> None:
    block = settled(GraphBlock(4, 6, make_conv(heads=2)))
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    skip = x @ block.skip.weight.T + block.skip.bias
    expected = skip + update_by_hand(block, x, block.conv(x))
    assert expected.shape == (3, 5, 6)
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


def test_operator_and_mlp_read_normalised_features() -> None:
    block = settled(GraphBlock(4, 6, make_conv(heads=2), pre_norm=True))
    nn.init.normal_(block.pre_norm.weight)
    nn.init.normal_(block.pre_norm.bias)
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    centred = x - x.mean(dim=-1, keepdim=True)
    read = centred / (centred.square().mean(dim=-1, keepdim=True) + block.pre_norm.eps).sqrt()
    read = read * block.pre_norm.weight + block.pre_norm.bias
    expected = x @ block.skip.weight.T + block.skip.bias + update_by_hand(block, read, block.conv(read))
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


def test_skip_has_no_parameters_where_it_does_not() -> None:
    assert list(GraphBlock(4, 4).skip.parameters()) == []


def test_hidden_layer_has_twice_the_channels() -> None:
    linear = [value.shape for value in GraphBlock(4, 6).update.parameters() if value.dim() == 2]
    assert linear == [(8, 8), (6, 8)]


def test_operator_gets_its_options() -> None:
    factory = make_conv("attention", heads=2, include_self=True, scale=True, out_proj=True)
    conv = GraphBlock(8, 4, factory).conv
    assert isinstance(conv, LandmarkAttention)
    assert (conv.in_channels, conv.out_channels) == (8, 8)  # messages are as large as the features
    assert (conv.heads, conv.include_self, conv.scale) == (2, True, 0.5)
    assert conv.lin_out is not None


def test_attention_on_request() -> None:
    block = settled(GraphBlock(4, 4, make_conv(heads=2)))
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    out, alpha = block(x, return_attention_weights=True)
    torch.testing.assert_close(out, block(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(alpha, block.conv(x, return_attention_weights=True)[1])
    assert alpha.shape == (3, 2, 5, 5)


@pytest.mark.parametrize("conv", ["gcn", "sage", "none", lambda i, o: nn.Identity()])
def test_operators_without_attention_cannot_show_any(conv: object) -> None:
    block = GraphBlock(4, 4, conv)
    with pytest.raises(ValueError, match="attention"):
        block(torch.randn(2, 5, 4), return_attention_weights=True)
