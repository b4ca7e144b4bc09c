import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, MessagePassing

from pyspiga_geo.nn import CONVS, LandmarkAttention, NoMessage, StaticGraphConv, make_conv
from pyspiga_geo.nn.convs import ConvFactory

B, L, C = 3, 5, 4
EDGES = torch.tensor([[0, 1, 2, 4, 3, 3], [1, 0, 0, 2, 2, 4]])  # nothing arrives at node 3


class MeanConv(MessagePassing):
    """The smallest operator somebody may bring along: the mean of the neighbours, mapped."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(aggr="mean")
        self.lin = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.propagate(edge_index, x=self.lin(x))


def averaging_gat(in_channels: int, out_channels: int) -> nn.Module:
    return GATv2Conv(in_channels, out_channels, heads=3, concat=False)


ALL: list[str | ConvFactory] = [*CONVS, MeanConv, averaging_gat]


def features(*shape: int) -> Tensor:
    return torch.randn(*shape, C, dtype=torch.float64)


@pytest.mark.parametrize("edges", [None, EDGES], ids=["complete", "sparse"])
@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_batch_equals_each_graph_alone(name: str | ConvFactory, include_self: bool, edges: Tensor | None) -> None:
    conv = make_conv(name, heads=2, include_self=include_self)(C, 6).double()
    x = features(B, L)
    out = conv(x, edges)
    assert out.shape == (B, L, 6)
    assert out.isfinite().all()
    alone = torch.stack([conv(graph, edges) for graph in x])
    torch.testing.assert_close(out, alone, rtol=0, atol=1e-12)
    if name != "none":
        assert not torch.allclose(out[0], out[1])


@pytest.mark.parametrize("name", ALL)
def test_no_edges_given_means_all_edges(name: str | ConvFactory) -> None:
    conv = make_conv(name, heads=2)(C, 6).double()
    complete = torch.tensor([[j, i] for i in range(L) for j in range(L) if i != j]).T
    for x in (features(L), features(B, L)):
        torch.testing.assert_close(conv(x), conv(x, complete), rtol=0, atol=1e-10)


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("name", ["attention", "gcn", "gat", "gatv2", "sage", "transformer"])
def test_own_features_count_only_on_request(name: str, include_self: bool) -> None:
    # Nobody speaks to node 3: what comes out there can only be its own, or a constant.
    conv = make_conv(name, heads=2, include_self=include_self)(C, 6).double()
    x, other = features(L), features(L)
    same = torch.allclose(conv(x, EDGES)[3], conv(other, EDGES)[3])
    assert same is not include_self


@pytest.mark.parametrize("name", sorted(set(CONVS) - {"none"}))
def test_messages_follow_the_edges(name: str) -> None:
    conv = make_conv(name, heads=2)(C, 6).double()
    x = features(B, L)
    changed = x.clone()
    changed[:, 4] += 1  # 4 speaks to 2, and to nobody else
    different = (conv(changed, EDGES) - conv(x, EDGES)).abs().amax(dim=(0, 2)) > 1e-9
    assert different[2]
    assert not different[[0, 1, 3]].any()


def test_none_sends_nothing() -> None:
    conv = make_conv("none")(C, 6)
    assert isinstance(conv, NoMessage)
    for x in (features(L), features(B, L)):
        out = conv(x)
        assert out.shape == (*x.shape[:-1], 6)
        assert out.dtype == x.dtype
        assert (out == 0).all()


def test_attention_gets_its_options() -> None:
    conv = make_conv("attention", heads=3, include_self=True, scale=True, out_proj=True)(8, 12)
    assert isinstance(conv, LandmarkAttention)
    assert (conv.in_channels, conv.out_channels, conv.heads, conv.include_self) == (8, 12, 3, True)
    assert conv.scale == 0.5
    assert conv.lin_out is not None


def test_own_operator_is_called_with_nodes_and_edges_as_pyg_does() -> None:
    calls = []

    class Spy(nn.Module):
        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            calls.append((tuple(x.shape), edge_index))
            return x[:, :2]

    sizes = []
    conv = make_conv(lambda *channels: sizes.append(channels) or Spy())(C, 2)
    assert isinstance(conv, StaticGraphConv)
    assert conv(features(2, L), torch.tensor([[0], [3]])).shape == (2, L, 2)
    assert conv(features(L), torch.tensor([[0], [3]])).shape == (L, 2)
    assert sizes == [(C, 2)]
    assert [shape for shape, _ in calls] == [(2 * L, C), (L, C)]
    assert [edges.tolist() for _, edges in calls] == [[[0, 5], [3, 8]], [[0], [3]]]


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"'gcnn'.*attention, gcn, gat, gatv2, sage, gin, transformer, none"):
        make_conv("gcnn")(C, 6)


@pytest.mark.parametrize("name", ["attention", "gat", "gatv2", "transformer"])
def test_heads_that_do_not_divide_the_channels_are_refused(name: str) -> None:
    # Not answered with fewer channels than were asked for.
    with pytest.raises(ValueError, match="heads"):
        make_conv(name, heads=4)(C, 6)


def test_unknown_options_are_named() -> None:
    with pytest.raises(ValueError, match="no option edge_size; it has: heads, include_self, scale"):
        make_conv("gcn", edge_size=3)
