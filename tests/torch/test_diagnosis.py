"""lehr.torch.diagnose: values by hand and by autograd, no side effects."""

import pytest

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402

import lehr.torch  # noqa: E402

LOSS = torch.nn.functional.cross_entropy


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(5, 8),
        torch.nn.BatchNorm1d(8),
        torch.nn.ReLU(),
        torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(8, 3)),
    )


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(20, 5, generator=generator), torch.arange(20) % 3


def test_numbers_by_hand():
    model = torch.nn.Sequential(torch.nn.Linear(1, 2, bias=False), torch.nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
    x = torch.tensor([[1.0], [3.0]])
    found = lehr.torch.diagnose(model, (x, torch.zeros(2, 2)), loss=torch.nn.functional.mse_loss)
    linear, relu = found.layers
    # outputs (1, 0) and (3, 0); loss = (1 + 9) / 4; d loss / d w1 = 2 (1 * 1 + 3 * 3) / 4
    assert found.loss == 2.5
    assert (linear.mean, linear.gradient, relu.gradient) == (0.0, 5.0, None)
    assert (relu.mean, relu.std, relu.saturated) == (1.0, np.std([1, 0, 3, 0]), 0.5)
    assert found.table().splitlines()[2].split() == ["1", "ReLU", "1", "1.22", "50.0%", "-"]


def test_gradients_equal_autograd_and_the_model_is_unchanged():
    model, (x, y) = network(), batch()
    model.eval()
    model[0].train()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    torch.manual_seed(5)
    found = lehr.torch.diagnose(model, (x, y), loss=LOSS)
    assert torch.initial_seed() == 5
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(5)))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]
    assert all((p.grad == 7).all() for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    names = [layer.name for layer in found.layers]
    assert names == ["0", "1", "2", "3.0", "3.1"]
    # torch draws the same numbers again
    torch.manual_seed(5)
    model.train()
    model.zero_grad()
    LOSS(model(x), y).backward()
    want = torch.cat([p.grad.ravel() for p in model[0].parameters()]).norm()
    np.testing.assert_allclose(found.layers[0].gradient, float(want), rtol=1e-5)


def test_a_batch_without_targets_has_no_gradients():
    found = lehr.torch.diagnose(network(), batch()[0], training=False)
    assert found.loss is None
    assert {layer.gradient for layer in found.layers} == {None}


class Named(torch.nn.Module):
    """Attention, then recurrence, on named inputs; draws a number from NumPy."""

    def __init__(self):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(4, 2, batch_first=True)
        self.recurrent = torch.nn.GRU(4, 3, batch_first=True)

    def forward(self, values, scale):
        np.random.random()
        attended, _ = self.attention(values, values, values)
        return self.recurrent(attended * scale)[0]


def test_attention_recurrence_and_named_inputs():
    model, state = Named(), np.random.get_state()[2]
    x = {"values": torch.ones(2, 5, 4), "scale": np.array(2.0, "float32")}
    found = lehr.torch.diagnose(model, (x, torch.zeros(2, 5, 3)), loss=torch.nn.functional.mse_loss)
    assert [(layer.name, layer.kind) for layer in found.layers] == [
        ("attention", "MultiheadAttention"),
        ("recurrent", "GRU"),
    ]
    assert all(layer.gradient > 0 for layer in found.layers)
    assert np.random.get_state()[2] == state


def test_an_error_in_the_model_leaves_it_unchanged():
    model = network()
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        lehr.torch.diagnose(model, torch.zeros(4, 6))
    assert not any(module._forward_hooks for module in model.modules())


def test_bad_input_is_rejected():
    with pytest.raises(ValueError, match=r"loss must be given with targets.*loss="):
        lehr.torch.diagnose(network(), batch())
    with pytest.raises(ValueError, match="loss must be a scalar"):
        lehr.torch.diagnose(network(), batch(), loss=lambda output, y: output)
    with pytest.raises(ValueError, match="batch must be a pair"):
        lehr.torch.diagnose(network(), (1, 2, 3))
    with pytest.raises(TypeError, match="model must be a PyTorch module, got 3"):
        lehr.torch.diagnose(3, batch())


def test_the_figure_names_its_axes():
    from lehr.figures import to_svg

    svg = to_svg(lehr.torch.diagnose(network(), batch(), loss=LOSS).plot())
    for text in ("activation", "saturated (%)", "gradient norm", "layer", "± std"):
        assert text in svg
