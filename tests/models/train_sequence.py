"""Trains sequence_lstm, _lstm_ternary, _gru and _rnn: recurrent layers on synthetic gestures.

Each reads 32 steps of three axes and scores four gestures from its last state. The exporter writes
ONNX LSTM and GRU; it unrolls nn.RNN, so that node is written here.

    python -m tests.models.train_sequence
"""

from __future__ import annotations

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tests.models.synthetic import GESTURES, gestures
from tests.models.training import HERE, accuracy, export, fit, prepare

SEED = 4
HIDDEN = 20


class Sequence(nn.Module):  # type: ignore[misc, unused-ignore]
    """A recurrent layer over the motion, a dense layer over its last state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(HIDDEN, len(GESTURES))

    def forward(self, motion: torch.Tensor) -> torch.Tensor:
        states, _ = self.layer(motion)
        scores: torch.Tensor = self.head(states[:, -1])
        return scores


class TernaryLstm(nn.LSTM):  # type: ignore[misc, unused-ignore]
    """An LSTM whose W and R are mean|row| · {-1, 0, 1}, one scale per gate row."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        zeros = torch.zeros(1, x.shape[0], self.hidden_size)
        weights = [_ternary(self.weight_ih_l0), _ternary(self.weight_hh_l0), self.bias_ih_l0,
                   self.bias_hh_l0]
        y, h, c = torch.lstm(
            x, [zeros, zeros], weights, True, 1, 0.0, self.training, False, True)
        return y, (h, c)


def _ternary(weight: torch.Tensor) -> torch.Tensor:
    scale = weight.abs().mean(1, keepdim=True).clamp(min=1e-5)
    return weight + ((weight / scale).round().clamp(-1, 1) * scale - weight).detach()


def export_rnn(model: Sequence, steps: int) -> None:
    """Writes sequence_rnn.onnx: Transpose, RNN, Squeeze, Gemm."""
    layer, head = model.layer, model.head
    arrays = {
        "W": layer.weight_ih_l0[None], "R": layer.weight_hh_l0[None],
        "B": torch.cat([layer.bias_ih_l0, layer.bias_hh_l0])[None],
        "head.weight": head.weight, "head.bias": head.bias, "axis": torch.zeros(1).long(),
    }
    nodes = [
        helper.make_node("Transpose", ["motion"], ["x"], "transpose", perm=[1, 0, 2]),
        helper.make_node("RNN", ["x", "W", "R", "B"], ["", "last"], "rnn", hidden_size=HIDDEN),
        helper.make_node("Squeeze", ["last", "axis"], ["state"], "squeeze"),
        helper.make_node("Gemm", ["state", "head.weight", "head.bias"], ["scores"], "head",
                         transB=1),
    ]
    graph = helper.make_graph(
        nodes, "sequence_rnn",
        [helper.make_tensor_value_info("motion", TensorProto.FLOAT, [1, steps, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, len(GESTURES)])],
        [numpy_helper.from_array(a.detach().numpy(), name) for name, a in arrays.items()])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(proto, full_check=True)
    (HERE / "sequence_rnn.onnx").write_bytes(proto.SerializeToString(deterministic=True))


def main() -> None:
    layers = {"lstm": nn.LSTM, "lstm_ternary": TernaryLstm, "gru": nn.GRU, "rnn": nn.RNN}
    motion, labels = map(torch.from_numpy, gestures(6_000, seed=SEED))
    held_out, truth = map(torch.from_numpy, gestures(2_000, seed=SEED + 1))
    motion, held_out = (x[:, :, ::2].transpose(1, 2).contiguous() for x in (motion, held_out))
    for name, layer in layers.items():
        prepare(SEED)
        model = Sequence(layer(3, HIDDEN, batch_first=True))
        fit(model, motion, labels, epochs=30, rate=1e-2)
        print(f"{name}: held-out accuracy {accuracy(model, held_out, truth):.4f}")
        if name == "rnn":
            export_rnn(model, motion.shape[1])
        else:
            export(model, motion[:1], f"sequence_{name}", inputs="motion", outputs="scores")


if __name__ == "__main__":
    main()
