from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from ternc.diagnostics import Diagnostics
from ternc.passes import front
from ternc.passes._algebra import Affine, Algebra, Atom, Unrecognised, units
from ternc.passes.raise_recurrence import RaiseRecurrence
from tests.passes.running import assert_same, graph, ops, random_feeds, run

FIXTURES = sorted((Path(__file__).parents[1] / "models" / "recurrent").glob("*.onnx"))
RNG = np.random.default_rng(11)
H, N, T = 4, 3, 5
CONSTANTS: dict[str, Any] = {
    "trips": np.int64(T), "yes": np.bool_(True), "unit": np.float32(1), "two": np.int64(2),
    "zero": np.zeros((1, H), np.float32), "some": RNG.uniform(-1, 1, (1, H)).astype(np.float32),
    **{f"w{k}": RNG.normal(0, 0.6, (N, H)).astype(np.float32) for k in range(4)},
    **{f"r{k}": RNG.normal(0, 0.6, (H, H)).astype(np.float32) for k in range(4)},
    **{f"b{k}": RNG.normal(0, 0.6, H).astype(np.float32) for k in range(4)},
}  # fmt: skip


def _gate(k: int, state: str = "h") -> str:
    """Text that computes g<k> = x W + state R + b."""
    return (f"p{k} = MatMul(x_t, w{k}) q{k} = MatMul({state}, r{k}) "
            f"s{k} = Add(p{k}, q{k}) g{k} = Add(s{k}, b{k}) ")


RNN = _gate(0) + "n = Tanh(g0) "
GRU = (_gate(0) + "z = Sigmoid(g0) " + _gate(1) + "r = Sigmoid(g1) rh = Mul(h, r) "
       + _gate(2, "rh") + "c = Tanh(g2) ")
GRU_AFTER = (_gate(0) + "z = Sigmoid(g0) " + _gate(1) + "r = Sigmoid(g1) "
             + "i2 = MatMul(h, r2) j2 = Add(i2, b2) k2 = Mul(r, j2) p2 = MatMul(x_t, w2) "
             + "l2 = Add(p2, b3) m2 = Add(k2, l2) c = Tanh(m2) ")
MIXES = {
    "z-first": "u = Sub(unit, z) a = Mul(z, h) e = Mul(u, c) n = Add(a, e) ",
    "difference": "d = Sub(h, c) a = Mul(z, d) n = Add(c, a) ",
    "minus": "a = Mul(h, z) e = Mul(c, z) d = Sub(c, e) n = Add(d, a) ",
}


def _loop(body: str, *, read: str = "x_t = Gather(x, i)", goes_on: str = "c1 = Identity(c0)",
          scan: str = "n", initial: str = "zero", outputs: str = "float y",
          after: str = "y = Identity(scan)") -> ir.Model:
    return graph(
        f"last, scan = Loop<body = b (int64 i, bool c0, float[1,{H}] h) => "
        f"(bool c1, float[1,{H}] n, float[1,{H}] o) {{ {read} {goes_on} {body} "
        f"o = Identity({scan}) }}>(trips, yes, {initial}) {after}",
        f"float[{T},1,{N}] x", outputs, **CONSTANTS)


def _raise(model: ir.Model) -> Diagnostics:
    """Runs the pass and compares before and after."""
    feeds = random_feeds(model)
    before, diagnostics = run(model, feeds), Diagnostics()
    RaiseRecurrence(diagnostics)(model)
    assert_same(before, run(model, feeds))
    return diagnostics


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_exports(path: Path) -> None:
    model, diagnostics = ir.from_proto(onnx.load(path)), Diagnostics()
    for step in front(diagnostics):
        if getattr(step, "name", "") == "raise_recurrence":
            break
        model = step(model).model
    feeds = random_feeds(model)
    before = run(model, feeds)
    RaiseRecurrence(diagnostics)(model)
    assert not diagnostics.errors
    found = set(ops(model))
    assert found & {"LSTM", "GRU", "RNN"}
    assert not found & {"Loop", "ReverseSequence"}
    if "rnn" in path.stem:
        assert not found & {"Tanh", "Relu"}
    assert_same(before, run(model, feeds))


class TestCells:
    @pytest.mark.parametrize("initial", ["zero", "some"])
    def test_rnn(self, initial: str) -> None:
        model = _loop(RNN, initial=initial)
        assert not _raise(model).errors
        assert [op for op in ops(model) if op not in ("Squeeze", "Unsqueeze")] == ["RNN"]

    @pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
    @pytest.mark.parametrize(("cell", "after"), [(GRU, 0), (GRU_AFTER, 1)])
    def test_gru(self, cell: str, after: int, mix: str) -> None:
        model = _loop(cell + mix)
        assert not _raise(model).errors
        node = next(node for node in model.graph if node.op_type == "GRU")
        assert node.attributes.get_int("linear_before_reset", 0) == after

    def test_only_the_last_state(self) -> None:
        model = _loop(RNN, after="y = Identity(last)")
        assert not _raise(model).errors
        node = next(node for node in model.graph if node.op_type == "RNN")
        assert not node.outputs[0].uses()

    def test_last_step_of_the_sequence(self) -> None:
        """A Slice of the last step reads the state instead: the sequence need not be kept."""
        slicing: dict[str, Any] = {
            "from": np.array([-1]), "to": np.array([2**31 - 1]), "axis": np.array([0])}
        model = graph(
            f"last, scan = Loop<body = b (int64 i, bool c0, float[1,{H}] h) => "
            f"(bool c1, float[1,{H}] n, float[1,{H}] o) {{ x_t = Gather(x, i) "
            f"c1 = Identity(c0) {RNN} o = Identity(n) }}>(trips, yes, zero) "
            "t = Slice(scan, from, to, axis) y = Identity(t)",
            f"float[{T},1,{N}] x", "float y", **CONSTANTS, **slicing)
        for node in model.graph:
            if node.op_type == "Loop":
                node.outputs[1].shape = ir.Shape((T, 1, H))
        assert not _raise(model).errors
        node = next(node for node in model.graph if node.op_type == "RNN")
        assert not node.outputs[0].uses()

    def test_lstm(self) -> None:
        gates = "".join(_gate(k) for k in range(4))
        model = graph(
            f"h9, c9, y = Loop<body = b (int64 i, bool c0, float[1,{H}] h, float[1,{H}] c) => "
            f"(bool c1, float[1,{H}] n, float[1,{H}] m, float[1,{H}] o) {{ x_t = Gather(x, i) "
            f"c1 = Identity(c0) {gates} si = Sigmoid(g0) so = Sigmoid(g1) sf = Sigmoid(g2) "
            "tg = Tanh(g3) a = Mul(c, sf) e = Mul(tg, si) m = Add(e, a) tm = Tanh(m) "
            "n = Mul(tm, so) o = Identity(n) }>(trips, yes, some, zero)",
            f"float[{T},1,{N}] x", "float y, float c9", **CONSTANTS)
        assert not _raise(model).errors
        assert "LSTM" in ops(model)

    def test_reversed_sequence(self) -> None:
        whole = graph(
            "back = Slice(x, m1, low, axis, m1) "
            f"last, y = Loop<body = b (int64 i, bool c0, float[1,{H}] h) => "
            f"(bool c1, float[1,{H}] n, float[1,{H}] o) {{ x_t = Gather(back, i) "
            f"c1 = Identity(c0) {RNN} o = Identity(n) }}>(trips, yes, zero)",
            f"float[{T},1,{N}] x", "float y", **CONSTANTS, m1=np.array([-1]),
            low=np.array([-(2**31)]), axis=np.array([0]))
        next(iter(whole.graph)).outputs[0].shape = ir.Shape((T, 1, N))
        next(iter(whole.graph)).outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        assert not _raise(whole).errors
        node = next(node for node in whole.graph if node.op_type == "RNN")
        assert node.attributes["direction"].as_string() == "reverse"


class TestRefused:
    @pytest.mark.parametrize(("model", "text"), [
        (lambda: _loop(_gate(0) + "n = Softsign(g0) "), "Softsign"),
        (lambda: _loop(_gate(0) + "n = Sigmoid(g0) "), "no GRU"),
        (lambda: _loop(GRU + "a = Mul(z, h) e = Mul(z, c) n = Add(a, e) "), "no GRU"),
        (lambda: _loop(RNN, scan="g0"), "not the state"),
        (lambda: _loop(RNN, goes_on="c1 = Less(i, two)"), "stop early"),
        (lambda: _loop(RNN, read="v = Add(i, i) x_t = Gather(x, v)"), "steps"),
    ], ids=["activation", "no-tanh", "mix", "scan", "condition", "order"])
    def test_says_why(self, model: object, text: str) -> None:
        made: ir.Model = model()  # type: ignore[operator]
        for node in made.graph:
            node.name = node.op_type
        diagnostics = Diagnostics()
        RaiseRecurrence(diagnostics)(made)
        (error,) = diagnostics.errors
        assert error.code == "TC0105"
        assert text in error.message
        assert error.node == "Loop"
        assert error.help
        assert "Loop" in ops(made)

    def test_another_answer_is_not_accepted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import ternc.passes.raise_recurrence as module

        monkeypatch.setattr(module, "same_answer", lambda *_: False)
        model, diagnostics = _loop(RNN), Diagnostics()
        feeds = random_feeds(model)
        before = run(model, feeds)
        RaiseRecurrence(diagnostics)(model)
        assert "something else" in diagnostics.errors[0].message
        assert_same(before, run(model, feeds))


class TestAlgebra:
    def test_products_are_multiplied_out(self) -> None:
        algebra, z, h, n = Algebra(), *(Affine.of(Atom("unknown", 3)) for _ in range(3))
        one = Affine({}, np.ones(1))
        first = algebra.add(algebra.product(z, h),
                            algebra.product(algebra.add(one, z, -1.0), n))
        second = algebra.add(n, algebra.product(algebra.add(h, n, -1.0), z))
        assert first.same_as(second)
        assert sorted((units(first) or {}).values()) == [-1.0, 1.0, 1.0]

    def test_slices_of_functions(self) -> None:
        algebra, x = Algebra(), Affine.of(Atom("unknown", 2))
        matrix = np.arange(8.0).reshape(2, 4)
        whole = algebra.function("Sigmoid", algebra.matmul(x, matrix))
        part = algebra.columns(whole, np.arange(1, 3))
        direct = algebra.function("Sigmoid", algebra.matmul(x, matrix[:, 1:3]))
        assert part.same_as(direct)

    def test_sizes_must_agree(self) -> None:
        algebra = Algebra()
        with pytest.raises(Unrecognised):
            algebra.add(Affine.of(Atom("unknown", 2)), Affine.of(Atom("unknown", 3)))
