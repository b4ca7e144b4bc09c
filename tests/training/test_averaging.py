"""The moving average of the weights."""

import pytest
import torch
from torch import nn

pytest.importorskip("lightning")
from lightning.pytorch import LightningModule

from pyspiga_geo.training.averaging import MovingAverage


class Net(LightningModule):
    """Weights in two types, and a count."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.exact = nn.Parameter(torch.full((2,), 0.1, dtype=torch.float64))
        self.register_buffer("count", torch.tensor(0))


def started(decay: float) -> tuple[MovingAverage, Net]:
    callback, net = MovingAverage(decay), Net()
    callback.setup(None, net, "fit")
    return callback, net


@torch.no_grad()
def test_the_decay_grows_to_its_value():
    callback, net = started(0.5)
    expected = net.weight.double()
    for step in range(30):
        net.weight.copy_(torch.rand(3))
        net.count += 1
        decay = min(0.5, (1 + step) / (10 + step)) if step else 0
        expected = decay * expected + (1 - decay) * net.weight.double()
        callback._average_model.update_parameters(net)
        average = callback._average_model.module
        torch.testing.assert_close(average.weight.double(), expected)
        assert average.count == step + 1


@torch.no_grad()
def test_first_weights_are_soon_forgotten():
    callback, net = started(0.99)
    for _ in range(60):
        callback._average_model.update_parameters(net)
        net.weight.fill_(1.0)
    assert callback._average_model.module.weight.min() > 0.999  # a constant decay of 0.99 would have come to 0.45


@torch.no_grad()
def test_what_does_not_change_stays_as_it_is_to_the_bit():
    callback, net = started(0.998)
    for _ in range(100):
        callback._average_model.update_parameters(net)
    assert torch.equal(callback._average_model.module.exact, net.exact)


def test_the_average_is_kept_where_the_model_is_trained():
    callback, net = started(0.9)
    net.to("meta")  # as the engine moves it to a GPU, after the average was made
    callback.on_fit_start(None, net)
    assert {each.device.type for each in callback._average_model.module.state_dict().values()} == {"meta"}
