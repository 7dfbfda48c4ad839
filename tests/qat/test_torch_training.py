"""Activations, conversion of whole models, the warm-up, the distillation loss."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch (pip install 'ternc[torch]')")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import ternc.qat.torch as qat  # noqa: E402

torch.set_num_threads(1)


def step_of(layer: Any) -> Any:
    return layer.activation.step


class TestActivations:
    def test_dynamic_is_per_token(self) -> None:
        layer = qat.BitLinear(4, 3, activations="int8_dynamic")
        x = torch.tensor([[[1.0, -2.0, 0.3, 0.0], [100.0, 7.0, -3.0, 1.0]]])
        step = x.abs().amax(-1, keepdim=True) / 127
        torch.testing.assert_close(layer.quantized_input(x), (x / step).round() * step)

    def test_dynamic_is_per_sample_in_convolutions(self) -> None:
        layer = qat.TernaryConv1d(2, 3, 1, activations="dynamic")
        x = torch.randn(2, 2, 5)
        step = x.abs().amax((1, 2), keepdim=True) / 127
        torch.testing.assert_close(layer.quantized_input(x), (x / step).round() * step)

    def test_dynamic_of_zeros(self) -> None:
        layer = qat.BitLinear(4, 3, bias=False, activations="dynamic")
        assert not layer(torch.zeros(2, 4)).any()

    def test_dynamic_gradient_is_straight_through(self) -> None:
        x = torch.randn(2, 4, requires_grad=True)
        layer = qat.BitLinear(4, 3, activations="dynamic")
        layer.quantized_input(x).backward(torch.ones(2, 4))
        assert torch.equal(x.grad, torch.ones(2, 4))

    def test_static_step_starts_from_the_first_batch(self) -> None:
        layer = qat.BitLinear(4, 3, activations="static")
        with pytest.raises(RuntimeError, match="run a batch in training mode"):
            layer.eval()(torch.ones(1, 4))
        x = torch.randn(8, 4)
        layer.train()(x)
        first = step_of(layer).clone()
        torch.testing.assert_close(first, 2 * x.abs().mean() / 127**0.5)
        layer(x * 5)
        assert torch.equal(step_of(layer), first)

    def test_static_step_of_a_replica(self) -> None:
        # as DataParallel makes them: parameters are views that a function has returned
        module = qat.BitLinear(4, 3, activations="static").activation
        assert module is not None
        replica = module._replicate_for_data_parallel()
        (replica.step,) = module.step.unsqueeze(0).unbind()
        x = torch.randn(8, 4)
        replica(x).sum().backward()
        torch.testing.assert_close(module.step.detach(), 2 * x.abs().mean() / 127**0.5)
        assert module.step.grad.isfinite()

    def test_static_gradients_are_those_of_lsq(self) -> None:
        layer = qat.BitLinear(4, 3, activations="static")
        with torch.no_grad():
            step_of(layer).fill_(0.01)
        x = torch.tensor([[0.5, -3.0, 0.004, 2.0]], requires_grad=True)
        y = layer.quantized_input(x)
        torch.testing.assert_close(y, (x / 0.01).round().clamp(-128, 127) * 0.01)
        y.backward(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
        assert x.grad.tolist() == [[1.0, 0.0, 3.0, 0.0]]
        slope = torch.tensor([0.0, -128.0, 0 - 0.4, 127.0])
        expected = (slope * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum() / (127 * 4) ** 0.5
        torch.testing.assert_close(step_of(layer).grad, expected)

    def test_unknown(self) -> None:
        with pytest.raises(ValueError, match=r"unknown activations 'int4'.*int8_dynamic"):
            qat.BitLinear(4, 3, activations="int4")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 2), nn.Flatten(), nn.Linear(8 * 5 * 5, 16), nn.ReLU(),
        nn.Linear(16, 10))


class TestTernarize:
    def test_says_what_it_did(self) -> None:
        model = network()
        done = qat.ternarize(model, "twn", skip=["0", "9"])
        assert dict(done.converted) == {"3": "TernaryConv2d", "7": "BitLinear"}
        assert dict(done.skipped) == {"0": "skip='0'", "9": "skip='9'"}
        assert dict(done.unsupported) == {"5": "ConvTranspose2d"}
        assert "3: ternary (TernaryConv2d)" in str(done)
        assert "5: left as it was (ConvTranspose2d)" in str(done)
        assert model[3].scheme == "twn"
        assert model(torch.randn(2, 1, 8, 8)).shape == (2, 10)

    @pytest.mark.parametrize("skip", [
        nn.Linear, [nn.Linear], "[79]", lambda name, module: isinstance(module, nn.Linear)])
    def test_skip(self, skip: Any) -> None:
        done = qat.ternarize(network(), skip=skip)
        assert set(done.converted) == {"0", "3"}
        assert set(done.skipped) == {"7", "9"}

    def test_skip_of_a_branch(self) -> None:
        model = nn.ModuleDict({"a": nn.Sequential(nn.Linear(2, 2)), "ab": nn.Linear(2, 2)})
        assert set(qat.ternarize(model, skip="a").converted) == {"ab"}

    def test_optimizer_and_ties_survive(self) -> None:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        model[1].weight = model[0].weight
        weight = model[0].weight
        qat.ternarize(model)
        assert model[0].weight is weight is model[1].weight

    def test_shared_layers_stay_shared(self) -> None:
        shared = nn.Linear(4, 4)
        model = nn.Sequential(shared, nn.ReLU(), shared)
        done = qat.ternarize(model)
        assert model[0] is model[2]
        assert set(done.converted) == {"0", "2"}

    def test_twice(self) -> None:
        model = network()
        qat.ternarize(model, skip="9")
        assert set(qat.ternarize(model).converted) == {"9"}
        with pytest.raises(ValueError, match="ternary already"):
            qat.ternarize(model)

    def test_bad_arguments_change_nothing(self) -> None:
        model = network()
        before = repr(model)
        wrong: list[dict[str, Any]] = [
            {"scheme": "nope"}, {"skip": "nope"}, {"activations": "nope"}]
        for options in wrong:
            with pytest.raises(ValueError, match="nope"):
                qat.ternarize(model, **options)
        assert repr(model) == before

    def test_single_layer(self) -> None:
        with pytest.raises(TypeError, match=r"BitLinear\.from_float"):
            qat.ternarize(nn.Linear(2, 2))

    def test_no_module(self) -> None:
        with pytest.raises(TypeError, match=r"not a list.*keras"):
            qat.ternarize([nn.Linear(2, 2)])

    def test_transformer_encoder(self) -> None:
        """Its fused form in eval mode would read float weights past the layers."""
        torch.manual_seed(0)
        model = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), 2)
        done = qat.ternarize(model)
        assert set(done.converted) == {f"layers.{i}.linear{j}" for i in (0, 1) for j in (1, 2)}
        assert {"layers.0.self_attn", "layers.0.self_attn.out_proj"} <= set(done.unsupported)
        x = torch.randn(2, 3, 8)
        model.eval()
        with torch.no_grad():
            fused = model(x)
        torch.testing.assert_close(fused, model(x).detach())
        torch.testing.assert_close(fused, model.train()(x).detach())

    def test_recurrent(self) -> None:
        model = nn.ModuleList([nn.LSTM(2, 3), nn.GRU(2, 3), nn.RNN(2, 3)])
        done = qat.ternarize(model)
        assert list(done.converted.values()) == ["TernaryLSTM", "TernaryGRU"]
        assert dict(done.unsupported) == {"2": "RNN"}


class TestWarmup:
    def test_goes_from_float_to_ternary(self) -> None:
        layer = qat.BitLinear(6, 3)
        model = nn.Sequential(layer)
        warmup = qat.Warmup(model, 4, delay=1)
        assert torch.equal(layer.used(), layer.weight)
        shares = [warmup.step() for _ in range(6)]
        assert shares == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
        codes, scale = layer.ternary()
        assert torch.equal(layer.used(), codes * scale)

    def test_half_way(self) -> None:
        layer = qat.BitLinear(6, 3)
        warmup = qat.Warmup(nn.Sequential(layer), 2, shape="cosine")
        assert warmup.step() == pytest.approx(0.5)
        codes, scale = layer.ternary()
        torch.testing.assert_close(layer.used(), layer.weight / 2 + codes * scale / 2)
        layer.used().backward(torch.ones(3, 6))
        torch.testing.assert_close(layer.weight.grad, torch.ones(3, 6))

    def test_eval_is_ternary_throughout(self) -> None:
        layer = qat.BitLinear(6, 3)
        qat.Warmup(nn.Sequential(layer), 4)
        codes, scale = layer.eval().ternary()
        assert torch.equal(layer.used(), codes * scale)
        assert "blend" not in layer.state_dict()

    def test_resumes(self) -> None:
        model = nn.Sequential(qat.BitLinear(6, 3))
        warmup = qat.Warmup(model, 4)
        warmup.step()
        other = copy.deepcopy(model)
        resumed = qat.Warmup(other, 4)
        resumed.load_state_dict(warmup.state_dict())
        assert resumed.share == 0.25
        assert torch.equal(other[0].used(), model[0].used())

    def test_bad_arguments(self) -> None:
        with pytest.raises(ValueError, match="no ternary layer"):
            qat.Warmup(nn.Linear(2, 2), 3)
        with pytest.raises(ValueError, match="steps=0"):
            qat.Warmup(qat.BitLinear(2, 2), 0)
        with pytest.raises(ValueError, match="shape='step'"):
            qat.Warmup(qat.BitLinear(2, 2), 3, shape="step")  # type: ignore[arg-type]


class TestDistill:
    student = torch.tensor([[1.0, 2.0, -1.0], [0.3, 0.2, 0.1]], requires_grad=True)
    teacher = torch.tensor([[2.0, 1.0, -3.0], [0.0, 0.4, 0.1]], requires_grad=True)

    def test_formula(self) -> None:
        labels = torch.tensor([1, 0])
        loss = qat.distill(self.student, self.teacher, labels, temperature=3.0, weight=0.7)
        soft = functional.kl_div(
            functional.log_softmax(self.student / 3, 1), functional.softmax(self.teacher / 3, 1),
            reduction="batchmean") * 9
        hard = functional.cross_entropy(self.student, labels)
        torch.testing.assert_close(loss, 0.7 * soft + 0.3 * hard)

    def test_no_gradient_to_the_teacher(self) -> None:
        qat.distill(self.student, self.teacher).backward()
        assert self.teacher.grad is None
        assert self.student.grad is not None

    def test_equal_outputs_lose_nothing(self) -> None:
        assert qat.distill(self.teacher, self.teacher).item() == pytest.approx(0, abs=1e-7)

    def test_bad_arguments(self) -> None:
        with pytest.raises(TypeError, match="outputs are expected"):
            qat.distill(nn.Linear(2, 2), self.teacher)
        with pytest.raises(ValueError, match=r"\(1, 3\)"):
            qat.distill(self.student[:1], self.teacher)
        with pytest.raises(ValueError, match="temperature=0"):
            qat.distill(self.student, self.teacher, temperature=0)
