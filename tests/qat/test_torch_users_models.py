"""What users' models bring along: frozen layers, parametrizations, half types, transformers."""

from __future__ import annotations

import copy
import io
import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch (pip install 'ternc[torch]')")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, parametrize, prune  # noqa: E402

import ternc.qat.torch as qat  # noqa: E402

torch.set_num_threads(1)


def close(one: Any, other: Any, tolerance: float = 1e-5) -> bool:
    return bool((one - other).abs().max() <= tolerance * other.abs().max())


def test_a_frozen_layer_stays_frozen() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    model[0].requires_grad_(False)
    qat.ternarize(model, "lsq", activations="static")
    assert {name: p.requires_grad for name, p in model.named_parameters()} == {
        name: name.startswith("2.") for name, _ in model.named_parameters()}
    model(torch.randn(3, 8)).sum().backward()
    assert model[0].activation.step > 0


@pytest.mark.parametrize("activations", ["none", "dynamic", "static"])
def test_a_float_checkpoint_loads_whatever_the_activations(activations: str) -> None:
    checkpoint = nn.Sequential(nn.Linear(8, 4)).state_dict()
    model = nn.Sequential(qat.BitLinear(8, 4, scheme="lsq", activations=activations))
    model(torch.randn(2, 8))
    model.load_state_dict(checkpoint)
    assert torch.equal(model[0].weight, checkpoint["0.weight"])
    if activations == "static":  # it is set by the next batch
        assert float(model[0].activation.step.detach()) == 0


class TestConversion:
    def test_a_single_ternary_layer(self) -> None:
        with pytest.raises(ValueError, match="BitLinear is ternary already"):
            qat.ternarize(qat.BitLinear(3, 3))

    def test_a_layer_without_weights_yet(self) -> None:
        model = nn.Sequential(nn.LazyLinear(8), nn.LazyConv1d(3, 3), nn.Linear(8, 4))
        done = qat.ternarize(model)
        assert dict(done.converted) == {"2": "BitLinear"}
        assert set(done.skipped) == {"0", "1"}
        assert all("run a batch first" in why for why in done.skipped.values())

    def test_a_parametrization(self) -> None:
        model = nn.Sequential(parametrizations.weight_norm(nn.Linear(8, 8)), nn.Linear(8, 4))
        done = qat.ternarize(model)
        assert dict(done.skipped) == {"0": "has a parametrization"}
        assert not done.unsupported

    def test_deploying_a_parametrization_says_how(self) -> None:
        model = nn.Sequential(parametrizations.weight_norm(qat.BitLinear(8, 8)))
        with pytest.raises(TypeError, match="remove_parametrizations"):
            qat.deploy(model)
        parametrize.remove_parametrizations(model[0], "weight")
        x = torch.randn(2, 8)
        expected = model.eval()(x)
        assert close(qat.deploy(model)(x), expected)

    def test_deploying_something_else(self) -> None:
        with pytest.raises(TypeError, match="not a str"):
            qat.deploy("model")  # type: ignore[arg-type, unused-ignore]

    def test_a_pruned_layer_is_deployed_as_its_next_forward_pass_is(self) -> None:
        layer = nn.Linear(8, 8)
        prune.l1_unstructured(layer, "weight", 0.5)
        model = nn.Sequential(layer)
        qat.ternarize(model)
        with torch.no_grad():  # as a step of the optimizer after the last forward pass
            model[0].weight_orig.copy_(torch.randn(8, 8))
        deployed = model[0].deploy()
        x = torch.randn(2, 8)
        assert close(deployed(x), model.eval()(x))


class TestPrecision:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    @pytest.mark.parametrize("build", [qat.TernaryLSTM, qat.TernaryGRU])
    def test_recurrent_layers_of_a_model_in_it(self, build: Any, dtype: Any) -> None:
        model = build(6, 5).to(dtype).eval()
        x = torch.randn(4, 2, 6, dtype=dtype)
        deployed = model.deploy()
        assert deployed(x)[0].dtype == dtype
        assert close(deployed(x)[0].double(), model(x)[0].double())
        packed = nn.utils.rnn.pack_sequence([x[:, 0]])
        assert close(deployed(packed)[0].data.double(), model(packed)[0].data.double())

    def test_few_and_many_samples_have_one_type_under_autocast(self) -> None:
        deployed = qat.deploy(qat.BitLinear(8, 4))
        with torch.autocast("cpu", torch.bfloat16):
            assert deployed(torch.randn(1, 8)).dtype == torch.bfloat16
            assert deployed(torch.randn(64, 8)).dtype == torch.bfloat16


class TestTransformers:
    """Their fused forms in eval mode read weights past the layers that hold them."""

    def test_ternary_layers_put_in_by_hand(self) -> None:
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        layer.linear1 = qat.BitLinear.from_linear(layer.linear1)
        layer.linear2 = qat.BitLinear(32, 16)
        x = torch.randn(2, 5, 16)
        expected = layer.train()(x)
        copied = io.BytesIO()
        torch.save(layer, copied)
        copied.seek(0)
        for model in (layer, copy.deepcopy(layer), torch.load(copied, weights_only=False)):
            with torch.no_grad():
                assert close(model.eval()(x), expected)
                assert close(qat.deploy(model)(x), expected)

    def test_a_deployed_encoder_with_padding(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nested tensors are a prototype
            encoder = nn.TransformerEncoder(
                nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True), 2)
        qat.ternarize(encoder)
        x, mask = torch.randn(2, 5, 16), torch.arange(5) >= torch.tensor([[3], [5]])
        expected = encoder.eval()(x, src_key_padding_mask=mask)
        with torch.no_grad():
            result = qat.deploy(encoder)(x, src_key_padding_mask=mask)
        assert close(result[~mask], expected[~mask])
