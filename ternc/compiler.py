"""`compile()`: from a model to a `CompiledModel`, through passes, lowering, planning, encoding."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import onnx
import onnx_ir as ir

from ternc import frontend
from ternc.backends.esp32.build import OPTIMIZE, Build, Optimize, build
from ternc.backends.esp32.cost import estimate
from ternc.backends.esp32.encode import encode
from ternc.backends.esp32.targets import Target, target_named
from ternc.compiled import CompiledModel
from ternc.defaults import tell_defaults
from ternc.diagnostics import Diagnostic, Diagnostics, DoesNotFit, UsageError
from ternc.normalization import normalised
from ternc.passes import front
from ternc.passes._graph import name_nodes
from ternc.passes.remove_channels import RemoveChannels
from ternc.precision import Precision, apply, checked, held, scheme_name
from ternc.sample_statistics import asked, resolved
from ternc.structure import blames_the_model

if TYPE_CHECKING:
    from ternc.feeds import Samples
    from ternc.mixed.result import Objective
    from ternc.mixed.search import Price

Activations = Literal["auto", "float32", "int8", "int16", "dynamic"]
Weights = Literal["auto", "ternary", "int8", "float32"]
_C_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
Observer = Callable[[str, ir.Model], None]  # called with a pass's name and the model after it


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model after the passes, ready to be lowered."""

    source: onnx.ModelProto
    model: ir.Model
    diagnostics: Diagnostics
    folded: dict[str, str]


def prepare(
    source: onnx.ModelProto, *, shapes: Mapping[str, tuple[int, ...]] | None = None,
    diagnostics: Diagnostics | None = None, observe: Observer | None = None,
) -> Prepared:
    """Runs the front passes; stops after the first pass that reports errors.

    Raises:
        CompileError: a pass reported an error; every diagnostic so far is in it.
    """
    diagnostics = diagnostics or Diagnostics()
    folded: dict[str, str] = {}
    working = onnx.ModelProto()
    working.CopyFrom(source)
    model = ir.from_proto(working)
    for step in front(diagnostics, shapes, folded):
        model = step(model).model
        if observe is not None:
            observe(_pass_name(step), model)
        diagnostics.raise_errors()
    if not model.graph.outputs:
        diagnostics.error("TC0107", "the model has no outputs", help="export it with an output")
    diagnostics.raise_errors()
    return Prepared(source, model, diagnostics, folded)


def _pass_name(step: ir.passes.PassBase) -> str:
    return str(getattr(step, "name", type(step).__name__))


@blames_the_model
def compile(  # the name of the thing
    model: frontend.Source, target: str = "esp32", *, calibration_data: Any = None,
    activations: Activations = "auto", weights: Weights = "auto", name: str | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None, keep: Mapping[str, str] | None = None,
    ternarize: bool | str | None = None, max_drop: float | None = None,
    minimize: Objective = "flash", labels: Any = None, evaluation_data: Any = None,
    mean: Any = None, std: Any = None,
    calibration_method: str = "minmax", ram: int | None = None, flash: int | None = None,
    optimize: Optimize = "default", fuse: bool = True, io: Literal["auto", "float"] = "auto",
    io_layout: Literal["model", "nhwc"] = "model", stateful: bool | None = None,
    verify_passes: bool = False,
    example_inputs: tuple[Any, ...] | None = None, check_fit: bool = True,
    progress: Callable[[int, int | None], None] | None = None,
    observe: Observer | None = None,
) -> CompiledModel:
    """Compiles a model for an ESP32.

    Args:
        model: path, bytes, onnx.ModelProto, onnx_ir.Model, torch.nn.Module (with
            `example_inputs`) or keras.Model.
        target: a name that `ternc targets` lists.
        calibration_data: .npz path, array, {input name: array with a leading sample axis}, or an
            iterable of feeds; given, a float model becomes int8.
        activations: "auto" (as the model says; int8 with calibration data; else float32),
            "float32", "int8" (needs calibration data unless the model is quantized), "int16"
            (needs calibration data; for models that lose too much at 8 bits), or "dynamic"
            (int8 with a scale from the absmax at run time, for want of calibration data).
        weights: "auto" keeps exactly ternary weights ternary, and quantizes the others to int8
            with calibration data; "ternary" is `ternarize=True`; "int8" makes them int8 without
            data too, under float32 activations; "float32" keeps weights and activations float.
        ternarize: make every weight ternary that `keep` does not name. True fits each layer to
            its output on the calibration data ("reconstruct"), or without data takes the codes of
            least weight error ("optimal"); a scheme's name gives exactly that scheme's codes.
        max_drop: choose ternary or int8 weights for each layer, or for parts of its output
            channels, for the smallest program that loses at most this much: points of accuracy
            against the float model when there are labels, else dB of output SQNR against the
            int8 model. Where int8 activations alone lose more, a few layers get int16 ones, if
            `activations` is "auto". `.mixed` holds the frontier.
        minimize: what `max_drop` is spent on: "flash", or "latency" as the report estimates it.
        labels: class of each sample of the evaluation data, or of the calibration data without
            it; default what these hold under "labels". "model" takes the float model's answers:
            the drop is then the share answered otherwise, which no loss of accuracy exceeds.
        evaluation_data: what to measure losses on, 1,000 samples or more to be sure of a point
            of accuracy; default every other calibration sample.
        mean: what training subtracted from each raw sample, one number or one per channel (or
            {input name: either}); the compiled model takes raw samples, calibration data too.
            "data" takes that of the calibration data, for each channel.
        std: what training divided (sample - mean) by, likewise.
        name: the C prefix; default from the file's name.
        shapes: sizes of inputs whose shape is dynamic, by input name.
        keep: node name -> "float32", "int16" (activations), "int8" or "ternary": fixes what that
            layer becomes. Of a recurrent node n, n.W and n.R are its input and recurrent weights.
        calibration_method: minmax, percentile, entropy or mse.
        ram: usable bytes of RAM, instead of the target's.
        flash: usable bytes of flash, instead of the target's.
        optimize: "size" keeps the arena within an eighth of the smallest that there is (4 KB
            for small ones); "default" lets fast kernels' scratch multiply it by up to three
            and a half (by 44 KB at most, and large ones double); "speed" lets it grow as far and
            adds generated C code for ternary convolutions where that pays: the fastest, and
            several times the flash of their weights; only a header can carry it.
        fuse: merge activations into the layers before them.
        io: "float" keeps float32 inputs and outputs on an integer model.
        io_layout: "nhwc" takes and gives images as NHWC.
        stateful: recurrent layers keep their state between runs, until `reset`; None: as those
            of a Keras model do.
        verify_passes: run the model in onnxruntime before and after every pass.
        example_inputs: inputs to export a torch.nn.Module with.
        check_fit: raise when the model exceeds the target's RAM or flash.
        progress: called with (samples done, samples in all) while calibrating.
        observe: called with the name of each pass and the model after it.

    Raises:
        CompileError: the model cannot be compiled; `.diagnostics` lists every problem found.
        DoesNotFit: it compiles but exceeds the target's memory.
        UsageError: an option is not valid.
    """
    chip = target_named(target)
    if optimize not in OPTIMIZE:
        raise UsageError((Diagnostic(
            "TC0403", f"optimize={optimize!r} is not one of {', '.join(OPTIMIZE)}"),))
    if name is not None and not _C_NAME.fullmatch(name):
        raise UsageError((Diagnostic(
            "TC0403", f"name={name!r} is not a C identifier",
            help="letters, digits and underscores, not starting with a digit"),))
    diagnostics = Diagnostics()
    source = frontend.load(model, example_inputs)
    keeps_states = frontend.is_stateful(model) if stateful is None else stateful
    data = None
    if asked(mean, std):  # the samples are read for the model as it was before normalization
        raw = prepare(source, shapes=shapes)
        data = _samples(calibration_data, raw, diagnostics)
        mean, std = resolved(mean, std, raw.model, data)
    source = normalised(source, mean, std)
    observers = [] if observe is None else [observe]
    if verify_passes:
        from ternc.verify_passes import PassVerifier

        observers.append(PassVerifier(source, diagnostics))

    def seen(name: str, model: ir.Model) -> None:
        for observer in observers:
            observer(name, model)

    prepared = prepare(source, shapes=shapes, diagnostics=diagnostics, observe=seen)
    name_nodes(prepared.model.graph)
    quantized = _is_quantized(prepared.model)
    precision = Precision(activations, weights, scheme_name(ternarize), keep or {}, max_drop,
                          calibration_method, minimize)
    checked(precision, prepared.model, data=calibration_data is not None, quantized=quantized)
    data = data or _samples(calibration_data, prepared, diagnostics, precision.reads_again)
    symbol = name or _name_of(model)

    def built_from(model: ir.Model, into: Diagnostics) -> Build:
        found = build(
            model, into, optimize=optimize, symbol=symbol,
            room=chip.sram_bytes if ram is None else ram, fuse=fuse, io_float=io == "float",
            channels_last_io=io_layout == "nhwc", stateful=keeps_states)
        into.raise_errors()
        assert found is not None
        return found

    def price(model: ir.Model) -> Price:
        from ternc.mixed.search import Price

        RemoveChannels()(model)
        built = built_from(model, Diagnostics())
        code = sum(native.code_bytes for native in built.program.natives)
        return Price(len(encode(built.program)) + code,
                     sum(estimate(built.program, chip).instructions), built.plan.arena_bytes)

    evaluation = _samples(evaluation_data, prepared, diagnostics)
    tell_defaults(precision, prepared.model, diagnostics, data=data, evaluation=evaluation,
                  labels=labels, quantized=quantized, fpu=chip.fpu)
    mixed = apply(
        prepared.model, precision, diagnostics, data, labels=labels, quantized=quantized,
        evaluation=evaluation, price=price, folded=prepared.folded, progress=progress)
    if precision.loses(data=data is not None, quantized=quantized):
        seen("quantize", prepared.model)  # compared for information: it is lossy
        remove = RemoveChannels(diagnostics, prepared.folded)  # what ranges leave constant
        if remove(prepared.model).modified:
            seen("remove_channels", prepared.model)
    built = built_from(prepared.model, diagnostics)
    compiled = CompiledModel(
        name=symbol, target=chip, source=source, model=prepared.model, program=built.program,
        plan=built.plan, blob=encode(built.program), diagnostics=diagnostics,
        folded={**prepared.folded, **built.folded}, mixed=mixed, host=built.host,
    )
    _tell_about_floats(compiled, chip, diagnostics)
    if check_fit:
        check_fits(compiled, ram, flash)
    return compiled


def _is_quantized(model: ir.Model) -> bool:
    """Whether any activation of the model is quantized."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph)


def _samples(
    data: Any, prepared: Prepared, diagnostics: Diagnostics, again: bool = True
) -> Samples | None:
    """The samples in `data`; with `again` they can be read again and again."""
    from ternc.feeds import input_specs, samples

    if data is None:
        return None
    found = samples(data, input_specs(prepared.model))
    return held(found, diagnostics) if again else found


def _name_of(model: frontend.Source) -> str:
    import os
    from pathlib import Path

    if not isinstance(model, (str, os.PathLike)):
        return "model"
    text = re.sub(r"[^A-Za-z0-9_]", "_", Path(model).stem)
    return text if _C_NAME.fullmatch(text) else f"model_{text}"


def _tell_about_floats(compiled: CompiledModel, chip: Target, diagnostics: Diagnostics) -> None:
    share = compiled.float_instructions()
    conversions = sum(
        i.opcode.name in ("quantize_i8", "dequantize_i8", "convert_i16")
        for i in compiled.program.instructions)
    if share > conversions and not chip.fpu:
        diagnostics.note(
            "TC0204", f"{share} of {len(compiled.program.instructions)} instructions compute in "
            f"float32, and {chip.name} has no floating-point unit",
            notes=("software floating point costs some 150 instructions per multiply-accumulate",),
            help="give calibration data (--calibration samples.npz) for int8 activations")


def check_fits(compiled: CompiledModel, ram: int | None, flash: int | None) -> None:
    """Raises `DoesNotFit` when the model needs more RAM or flash than there is."""
    from ternc.report import short

    have_ram = compiled.target.sram_bytes if ram is None else ram
    have_flash = compiled.target.flash_bytes if flash is None else flash
    floats = compiled.float_instructions() > 0
    problems = []
    if compiled.plan.arena_bytes > have_ram:
        peak = ", ".join(f"{short(name)} ({size:,} B)"
                         for name, size in compiled.plan.peak_tensors[:4])
        items = compiled.program.instructions
        layer = items[min(max(compiled.plan.peak_step, 0), len(items) - 1)].layer if items else ""
        problems.append(Diagnostic(
            "TC0402", f"the arena needs {compiled.plan.arena_bytes:,} bytes, and "
            f"{compiled.target.name} offers {have_ram:,}: "
            f"{compiled.plan.arena_bytes - have_ram:,} are missing",
            notes=(f"alive at the peak (step {compiled.plan.peak_step}, {short(layer)}): {peak}",),
            help=f"{'quantize the activations (--calibration), ' if floats else ''}shrink the "
            "input, or choose a chip with more RAM; `ternc inspect --plan` draws the memory plan"))
    if compiled.flash_bytes > have_flash:
        problems.append(Diagnostic(
            "TC0402", f"the program needs {compiled.flash_bytes:,} bytes of flash, and "
            f"{compiled.target.name} offers {have_flash:,}",
            help="make the weights ternary (train with ternc.qat) or int8 (--calibration)"))
    if problems:
        raise DoesNotFit((*compiled.diagnostics, *problems))
