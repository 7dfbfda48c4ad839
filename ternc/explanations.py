"""What each diagnostic code means at length: why it is so, an example, and what to do.

A leaf: imports nothing of ternc but the codes.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Final

from ternc.diagnostics import CODES, Diagnostic, UsageError, did_you_mean

_WIDTH: Final = 92


@dataclass(frozen=True, slots=True)
class Explanation:
    """`example` is a command, or a few lines of Python, that brings the message about."""

    why: str
    example: str
    remedy: str


def explain(code: str) -> str:
    """The explanation of a code, for a terminal; "tc101" and "101" are TC0101.

    Raises:
        UsageError: there is no such code (TC0403).
    """
    known = code.upper().removeprefix("TC")
    name = f"TC{known.zfill(4)}"
    if name not in EXPLANATIONS:
        raise UsageError((Diagnostic(
            "TC0403", f"no diagnostic has the code {code!r}",
            help=f"{did_you_mean(code.upper(), CODES)}the codes are TC0001 to {max(CODES)}; "
            "`ternc explain` lists them"),))
    item = EXPLANATIONS[name]
    example = "\n".join(f"    {line}" for line in item.example.splitlines())
    return (f"{name}: {CODES[name]}\n\n{_filled(item.why)}\n\nAn example:\n\n{example}\n\n"
            f"{_filled(f'What to do: {item.remedy}')}\n")


def _filled(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def listing() -> str:
    """All codes with their titles."""
    return "".join(f"{code}  {title}\n" for code, title in CODES.items())


EXPLANATIONS: Final[dict[str, Explanation]] = {
    "TC0001": Explanation(
        "The file named on the command line does not exist, or may not be read. Data files "
        "that hold pickled Python objects are refused as well: reading them could run code.",
        "ternc no-such-model.onnx -o model.h",
        "check the path and its permissions. Save data with numpy.savez, as plain arrays."),
    "TC0002": Explanation(
        "The bytes are no ONNX model, or a .tern program or header that is damaged or of a "
        "version that this ternc does not know. A download that was cut short looks like "
        "this, and so does a Git LFS pointer in place of the file.",
        "ternc README.md -o model.h",
        "export or download the file again; compile a .tern again from its model."),
    "TC0003": Explanation(
        "The file is ONNX, but breaks its rules: a name that nothing produces, text that is "
        "not UTF-8, a tensor with fewer bytes than its shape needs. What exporters are "
        "known to get wrong is repaired (TC0005) before this is checked.",
        "model.graph.node[1].input[0] = \"nowhere\"\n"
        "ternc.compile(model)",
        "export the model again. onnx.checker.check_model(path, full_check=True) may say "
        "more."),
    "TC0004": Explanation(
        "Large models keep their weights in a second file beside the model. That file is "
        "missing, has another size, or its name leads out of the model's folder, which is "
        "refused because a model from a stranger could otherwise read any file.",
        "cp far/model.onnx . && ternc model.onnx -o model.h    # model.onnx.data stayed there",
        "put the data beside the model under the name in the message, or join both with "
        "onnx.save(onnx.load(path), \"whole.onnx\")."),
    "TC0005": Explanation(
        "Exporters write files that are not quite ONNX: operators of onnxruntime's own, an "
        "opset too low for an operator, nodes out of order, a missing opset import. Where "
        "the intention is certain it is mended, and this warning says what was done.",
        "torch.onnx.export(model, x, \"gelu.onnx\", opset_version=17)    # then fused by a tool",
        "nothing. A newer exporter, or opset 21, makes the warning go away."),
    "TC0006": Explanation(
        "A weight is NaN or infinite, so every answer would be. Infinity is allowed where it "
        "has a meaning: in attention masks, and as the bound of a Clip.",
        "weights = model.fc.weight; weights.data[0, 0] = float(\"nan\")    # training diverged",
        "look at the loss curve: a learning rate too high is the usual cause. Batch "
        "normalization with a variance of zero gives infinities when it is folded."),
    "TC0007": Explanation(
        "An output could not be written: its folder does not exist or is not writable, it "
        "is a folder, or it is the model itself. This is found before the work begins, and "
        "nothing is left half written.",
        "ternc model.onnx -o build/model.h    # without build/",
        "make the folder, or name another file."),
    "TC0008": Explanation(
        "torch.onnx or tf2onnx, which turn a PyTorch or Keras model into ONNX, failed, or "
        "is not installed. Control flow that depends on values, and custom layers, are what "
        "they refuse.",
        "ternc.compile(torch_model)    # without example_inputs",
        "pass example_inputs for PyTorch, install the extra that the message names, or "
        "export the model yourself and pass the file. The exception's __cause__ is the "
        "framework's own."),
    "TC0101": Explanation(
        "There is no kernel for this ONNX operator. All such nodes of a model are listed at "
        "once.",
        "ternc validate model_with_hardmax.onnx",
        "`ternc ops` lists what is supported. Replace the layer by supported ones, or cut "
        "the model before it (onnx.utils.extract_model) and compute the rest in C on the "
        "output."),
    "TC0102": Explanation(
        "The operator is supported, but not with this attribute or this kind of input: a "
        "dilation where the kernel has none, a weight that is computed while the model "
        "runs, an axis that would need another memory layout.",
        "torch.nn.Upsample(mode=\"bicubic\")",
        "the message names the attribute. A constant in place of a computed tensor is the "
        "usual change; exporting with constant folding on often makes it."),
    "TC0103": Explanation(
        "Memory on the chip is planned before the program runs, so every size must be "
        "known. A dynamic batch counts as 1; other dynamic dimensions must be given.",
        "ternc model.onnx -o model.h    # whose input is [batch, time, 40]",
        "ternc model.onnx -o model.h --shape mfcc:1x49x40, or export with fixed sizes."),
    "TC0104": Explanation(
        "Tensors on the chip are float32, int8, uint8, int16, int32 or bool. float64, "
        "float16, strings and complex numbers have no kernels; constants of them are "
        "converted.",
        "x = torch.zeros(1, 8, dtype=torch.float64)",
        "export the model in float32: model.float() in PyTorch."),
    "TC0105": Explanation(
        "If, Loop and Scan are resolved when their conditions and counts are constants, and "
        "the loops that tf2onnx makes of Keras recurrences become LSTM, GRU or RNN again. "
        "What is left depends on values at run time.",
        "tf2onnx of a Keras model with a custom recurrent cell",
        "export recurrent layers as such (Keras: unroll=True, or a standard layer), and "
        "take branches that depend on the input out of the model."),
    "TC0106": Explanation(
        "A tensor has a negative size or more elements than 2^31: the file is damaged, or "
        "made to do harm.",
        "tensor.dims[:] = [2**62, 2**62]",
        "export the model again."),
    "TC0107": Explanation(
        "The model has no outputs, or an input or output without elements: there is nothing "
        "to compute.",
        "del model.graph.output[:]",
        "export it with its outputs, and with the sizes that it is used with."),
    "TC0108": Explanation(
        "Channels that are constant, or that are multiplied by zero only, do not change with "
        "the input. They were removed; what they contributed is in the next layer's bias.",
        "torch.nn.utils.prune.ln_structured(model.conv1, \"weight\", amount=0.5, n=2, dim=0)",
        "nothing. Many such channels say that the layer is wider than it needs to be."),
    "TC0201": Explanation(
        "Most weights of this layer are -s, 0 or s for one scale s, but not all. It was "
        "probably trained ternary and exported in training mode, or changed afterwards. "
        "Exactly ternary weights take two bits each; these stay what they are, because "
        "making them ternary changes answers. `ternc validate` says how far off which "
        "channels are.",
        "torch.onnx.export(model.train(), x, \"model.onnx\")    # latent weights, not codes",
        "export in evaluation mode (model.eval()), or compile with --ternarize."),
    "TC0202": Explanation(
        "A range is unusable: a tensor was zero in every calibration sample, so that any "
        "other value will saturate, or two scales are so far apart that no fixed-point "
        "factor joins them.",
        "ternc model.onnx -o model.h --calibration silence.npz",
        "calibrate on 32 to 256 samples of real data in all its variety; keep the layer in "
        "float32 with --keep float32:NODE."),
    "TC0203": Explanation(
        "The model is quantized, but this operator has no integer kernel in this form: its "
        "inputs are turned to float32 and its output back. It is right, only slower, most "
        "of all on a chip without a floating-point unit.",
        "ternc model_with_logsoftmax.onnx -o model.h --calibration samples.npz",
        "`ternc ops --target T` shows which operators run in integers. Softmax instead of "
        "LogSoftmax gives the same classes."),
    "TC0204": Explanation(
        "float32 on a chip without a floating-point unit is computed by software: some 50 "
        "to 200 machine instructions for each multiply-accumulate, where an int8 layer "
        "takes one to ten.",
        "ternc model.onnx -o model.h --target esp32c3",
        "give calibration data (--calibration samples.npz), or --activations dynamic "
        "without any. `ternc validate MODEL --target all` compares the chips."),
    "TC0205": Explanation(
        "Weights were made ternary by weight error alone. A weight whose input is always "
        "small counts as much as any other, so more is lost than needs to be.",
        "ternc model.onnx -o model.h --ternarize",
        "give calibration data: each layer is then fitted to its output. Training with "
        "ternary weights (ternc.qat) loses least."),
    "TC0206": Explanation(
        "With --verify-passes the model runs in onnxruntime before and after every pass. "
        "This pass changed an output by more than rounding can, which is a bug, unless it "
        "is `quantize`, which says with this note how much it costs. The message names the "
        "first node that differs.",
        "ternc model.onnx -o model.h --verify-passes",
        "report it with the model. --dump-after=PASS writes the model as it is after the "
        "pass."),
    "TC0207": Explanation(
        "Weights were not ternary and were made so. The figure is the distance between the "
        "old and the new weights, or between the layer's outputs where it was fitted to "
        "data.",
        "ternc model.onnx -o model.h --calibration samples.npz --ternarize",
        "measure the accuracy (`ternc validate` with labels). --max-drop makes only those "
        "layers ternary that cost little."),
    "TC0208": Explanation(
        "--max-drop asked for a limit that no choice of ternary and int8 layers holds: int8 "
        "alone loses more, and so do int16 activations in the layers that gain by them "
        "(--activations int8 leaves those out).",
        "ternc model.onnx -o model.h --calibration few.npz --max-drop 0.01",
        "allow more, calibrate on more varied samples, or keep layers in float32."),
    "TC0209": Explanation(
        "The layers that --max-drop chose hold the limit on the samples that were measured, but "
        "so few samples do not prove it for others: of 50 answers, one is two points of accuracy.",
        "ternc model.onnx -o model.h --calibration few.npz --max-drop 1",
        "measure on more labelled samples, or allow more."),
    "TC0210": Explanation(
        "Each layer that was made ternary alone, and each part of one that was tried, lost more "
        "than --max-drop allows or saved nothing, so that all stayed int8.",
        "ternc model.onnx -o model.h --calibration samples.npz --max-drop 0.1",
        "allow what the application can bear, or train with ternary weights (ternc.qat), which "
        "loses far less."),
    "TC0211": Explanation(
        "Some data was not given, and something usual was done instead. The note says what, and "
        "what the data would change; the report holds it too.",
        "ternc model.onnx -o model.h",
        "give the data that the note names, or nothing if the default is what you want."),
    "TC0301": Explanation(
        "Calibration or validation data does not fit the model: names, shapes, element "
        "types or the number of labels. Everything wrong is listed at once.",
        "numpy.savez(\"samples.npz\", images=x)    # and the input is called \"input\"",
        "name the arrays as the model's inputs, samples along the first axis, classes under "
        "\"labels\". `ternc inspect MODEL` shows names and shapes."),
    "TC0302": Explanation(
        "Fitting ternary weights reads the samples once for each layer. An iterator gives them "
        "once, so its first samples are kept in memory and the rest is not read.",
        "ternc.compile(model, calibration_data=loader, ternarize=True)",
        "pass an array, a .npz or a folder, which can be read again."),
    "TC0401": Explanation(
        "The target is not one of the chips that ternc knows.",
        "ternc model.onnx -o model.h --target esp32c9",
        "`ternc targets` lists them. \"ESP32-C3\" and \"esp32c3\" are the same."),
    "TC0402": Explanation(
        "The arena does not fit the RAM that a program may use statically, or weights and "
        "program do not fit the flash. The message says what is alive at the peak, and the "
        "changes that would make it fit are computed by compiling with each.",
        "ternc model.onnx -o model.h --target esp32c2 --ram 16K",
        "take one of the changes in the message, draw the plan (`ternc inspect MODEL "
        "--plan`), or make the input smaller: the largest tensors are mostly the first "
        "ones."),
    "TC0403": Explanation(
        "An option has a value that it cannot have, contradicts another, or names a node, "
        "an input or a pass that is not there.",
        "ternc model.onnx -o model.h --activations int8    # without calibration data",
        "the message says what is possible; `ternc --help` has all options."),
    "TC0501": Explanation(
        "The model compiles, but a check of its answers failed or a limit is not held. The "
        "checks name the cause: \"layer by layer\" and \"rounding\" say that a layer computes "
        "wrongly, \"layers chained\" that the program is put together wrongly (both are bugs "
        "in ternc); \"input range\" and \"saturation\" that data and calibration differ; "
        "\"labels\" that the labels are not those of the data; \"accuracy\" and \"top-1\" what "
        "the user will notice.",
        "ternc validate model.onnx --data samples.npz --calibration other.npz --min-accuracy 95%",
        "begin with the first check that failed. --report report.html shows where along the "
        "network the numbers part."),
    "TC0601": Explanation(
        "The emulator, or a compiler for the target's instruction set, is not installed.",
        "ternc bench model.onnx --target esp32c3    # without the extra",
        "pip install 'ternc[emulator]', or what the message names."),
    "TC0602": Explanation(
        "A compiler or an emulator is there, but failed. What it printed is in the notes.",
        "ternc bench model.onnx --target esp32c3 --toolchain gcc    # makes no RISC-V code",
        "check that the program runs by itself, and that it is made for RISC-V."),
    "TC0603": Explanation(
        "The program failed on the emulated core, or did not end within the limit of "
        "instructions.",
        "ternc bench model.onnx --target esp32c3 --max-instructions 1000",
        "raise --max-instructions: float models take hundreds of instructions for each "
        "multiply-accumulate. If it does not help, report it with the model."),
    "TC0604": Explanation(
        "Only chips with RISC-V cores can be emulated: esp32c2, c3, c6, h2 and the core of "
        "the p4. The Xtensa chips (esp32, s2, s3) get an estimate instead.",
        "ternc bench model.onnx --target esp32s3",
        "emulate for a RISC-V chip: in the integer modes the answers are the same, byte for "
        "byte."),
    "TC0901": Explanation(
        "Something happened that ternc did not foresee. It is a bug, whatever the model is.",
        "ternc model.onnx -o model.h -v    # shows where",
        "report it with the command, the output with -v, and the model if it can be shared."),
}
