"""The command line's options: what each means, and how its text becomes a value."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Final, NoReturn

from ternc.diagnostics import Diagnostic, UsageError, did_you_mean

SUFFIXES: Final = {".h": "C header", ".tern": "raw program", ".onnx": "quantized model"}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmM]?)(?:i?[bB])?")
_C_KEYWORDS: Final = frozenset({
    "auto", "break", "case", "char", "class", "const", "continue", "default", "delete", "do",
    "double", "else", "enum", "extern", "false", "float", "for", "goto", "if", "inline", "int",
    "long", "namespace", "new", "operator", "private", "public", "register", "restrict",
    "return", "short", "signed", "sizeof", "static", "struct", "switch", "template", "this",
    "true", "typedef", "union", "unsigned", "using", "virtual", "void", "volatile", "while",
})


class Parser(argparse.ArgumentParser):
    """An argument parser that knows which option was meant."""

    def error(self, message: str) -> NoReturn:
        """Prints usage and message, with the option that is nearest to an unknown one."""
        words = message.split(": ", 1)
        if words[0] == "unrecognized arguments":
            known = [text for action in self._actions for text in action.option_strings]
            given = [word.split("=")[0] for word in words[1].split() if word.startswith("-")]
            hints = [hint for word in given if (hint := did_you_mean(word, known))]
            message += "".join(f"\n{self.prog}: {hint.rstrip()}" for hint in hints)
        super().error(message)


def add_compile_options(parser: argparse.ArgumentParser) -> None:
    """What every command that compiles takes."""
    parser.add_argument("--target", metavar="T", default="esp32",
                        help="the chip, see `ternc targets`; default %(default)s")
    parser.add_argument("--calibration", metavar="X.npz|DIR",
                        help="32 to 256 real samples: makes a float model int8")
    parser.add_argument("--calibration-method", default="minmax",
                        choices=("minmax", "percentile", "entropy", "mse"),
                        help="how ranges follow from the samples; default %(default)s")
    parser.add_argument("--activations",
                        choices=("auto", "float32", "int8", "int16", "dynamic"), default="auto",
                        help="auto: as the model says; int8 with calibration; else float32. "
                        "int16: with calibration, for models that lose too much at 8 bits. "
                        "dynamic: int8 by the absmax at run time, without calibration")
    parser.add_argument("--weights", choices=("auto", "ternary", "int8", "float32"),
                        default="auto", help="auto: exactly ternary weights stay ternary")
    parser.add_argument("--ternarize", metavar="SCHEME|NODE", action="append", default=[],
                        help="make weights ternary: fitted to the calibration data, else by "
                        "weight error; --ternarize=SCHEME for exactly that rule, "
                        "--ternarize=NODE for one layer")
    parser.add_argument("--max-drop", metavar="X", type=float,
                        help="ternary or int8 for each layer, the smallest that loses at most X: "
                        "points of accuracy with labels, else dB of output SQNR; int16 "
                        "activations in a few layers where int8 ones lose more (not with "
                        "--activations int8)")
    parser.add_argument("--minimize", choices=("flash", "latency"), default="flash",
                        help="what --max-drop is spent on; default %(default)s")
    parser.add_argument("--mean", metavar="M[,M...]|data", type=numbers,
                        help="the model takes raw samples: (x - mean) / std is folded in; one "
                        "number, or one per channel; data: those of the calibration samples")
    parser.add_argument("--std", metavar="S[,S...]|data", type=numbers, help="see --mean")
    parser.add_argument("-O", "--optimize", choices=("size", "default", "speed"),
                        default="default", help="size: fast kernels only where they cost no "
                        "memory; speed: more memory, and generated code for ternary convolutions")
    parser.add_argument("--ram", metavar="SIZE", type=size,
                        help="RAM for the arena, like 160K; default the chip's")
    parser.add_argument("--flash", metavar="SIZE", type=size,
                        help="flash for the model, like 4M; default the chip's")
    parser.add_argument("--shape", metavar="NAME:DIMS", type=shape, action="append", default=[],
                        help="size of a dynamic input, like mfcc:1x16x40; repeatable")
    parser.add_argument("--keep", metavar="PRECISION:NODE", type=keep, action="append",
                        default=[], help="float32, int16, int8 or ternary for this node, whatever "
                        "the rest becomes; NODE.W and NODE.R are the weights of a recurrent "
                        "one; repeatable")
    parser.add_argument("--io", choices=("auto", "float"), default="auto",
                        help="float: float inputs and outputs on an integer model too")
    parser.add_argument("--io-layout", choices=("model", "nhwc"), default="model",
                        help="nhwc: images have their channels last")
    parser.add_argument("--stateful", action="store_true",
                        help="recurrent layers keep their state between runs, until reset")
    parser.add_argument("--no-fuse", action="store_true",
                        help="keep every tensor: for looking at intermediate values")
    parser.add_argument("--verify-passes", action="store_true",
                        help="run the model in onnxruntime before and after every pass")
    parser.add_argument("--dump-after", metavar="PASS|all", action="append", default=[],
                        help="print the model as it is after a pass; repeatable")
    parser.add_argument("--save-temps", metavar="DIR", type=Path,
                        help="write the model after every pass, the program, its listing and plan")


def add_emulation_options(parser: argparse._ActionsContainer) -> None:
    """What every command that emulates takes."""
    parser.add_argument("--toolchain", metavar="CC",
                        help="a gcc for RISC-V, like riscv32-esp-elf-gcc; default clang of the "
                        "ziglang package")
    parser.add_argument("--emulator", choices=("unicorn", "qemu"), default="unicorn",
                        help="qemu counts instructions, not their classes; default %(default)s")
    parser.add_argument("--max-instructions", metavar="N", type=positive, default=None,
                        help="stop a program that runs away; default ten thousand million")


def add_messages(parser: argparse.ArgumentParser) -> None:
    """How much to print, and in which form."""
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("-v", "--verbose", action="store_true", help="tracebacks too")
    volume.add_argument("-q", "--quiet", action="store_true", help="errors only")


def add_report(parser: argparse.ArgumentParser) -> None:
    """The report as a page."""
    parser.add_argument("--report", metavar="FILE", type=Path,
                        help="write an HTML page: figures, memory plan, layers, what became of "
                        "each node")


def list_parser(name: str, what: str) -> argparse.ArgumentParser:
    """The options of a command that prints a table."""
    parser = Parser(prog=f"ternc {name}", description=what, allow_abbrev=False)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a Markdown table")
    return parser


def compile_options(parsed: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `ternc.compile` from those of the command line."""
    from ternc.precision import schemes

    named = [value for value in parsed.ternarize if value in schemes()]
    nodes = [value for value in parsed.ternarize if value not in schemes()]
    return {
        "keep": {**dict.fromkeys(nodes, "ternary"), **dict(parsed.keep)},
        "ternarize": named[-1] if named else None, "max_drop": parsed.max_drop,
        "minimize": parsed.minimize,
        "mean": parsed.mean, "std": parsed.std,
        "target": parsed.target, "calibration_data": parsed.calibration,
        "calibration_method": parsed.calibration_method, "activations": parsed.activations,
        "weights": parsed.weights, "ram": parsed.ram, "flash": parsed.flash,
        "shapes": dict(parsed.shape), "io": parsed.io,
        "io_layout": parsed.io_layout, "optimize": parsed.optimize, "fuse": not parsed.no_fuse,
        "stateful": parsed.stateful, "verify_passes": parsed.verify_passes,
    }


def size(text: str) -> int:
    """Bytes from "4096", "160K" or "4M" (powers of 1024)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it like 65536, 160K or 4M")
    factor = {"": 1, "k": 1024, "m": 1024 * 1024}[match[2].lower()]
    return int(float(match[1]) * factor)


def positive(text: str) -> int:
    """A number above zero."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above zero")
    return int(text)


def share(text: str) -> float:
    """0.98 from "0.98" or "98%"."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: write it like 0.98 or 98%")
    return value


def shape(text: str) -> tuple[str, tuple[int, ...]]:
    """("mfcc", (1, 16, 40)) from "mfcc:1x16x40"; an input's name may hold colons."""
    name, _, dims = text.rpartition(":")
    parts = re.split(r"[x,]", dims)
    if not name or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no shape: write it like input:1x16x40")
    return name, tuple(map(int, parts))


def keep(text: str) -> tuple[str, str]:
    """("conv1", "int8") from "int8:conv1"."""
    precision, _, node = text.partition(":")
    if precision not in ("float32", "int16", "int8", "ternary") or not node:
        raise argparse.ArgumentTypeError(f"{text!r}: write it like float32:NODE or int8:NODE")
    return node, precision


def numbers(text: str) -> float | list[float] | str:
    """0.5 from "0.5", [0.5, 0.4, 0.4] from "0.5,0.4,0.4", "data" as it is."""
    if text == "data":
        return text
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: write it like 127.5 or 0.485,0.456,0.406") from None
    return values[0] if len(values) == 1 else values


def joined(arguments: list[str]) -> list[str]:
    """`--ternarize` alone as `--ternarize=auto`, so that it does not take the model's path."""
    return ["--ternarize=auto" if argument == "--ternarize" else argument
            for argument in arguments]


def symbol(text: str) -> str:
    """A name that C and C++ accept."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) or text in _C_KEYWORDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no C identifier")
    return text


def check_output(path: Path, model: Path) -> None:
    """Refuses an output that could not be written, before any work is done.

    Raises:
        UsageError: the suffix is unknown (TC0403), or see `check_writable`.
    """
    if path.suffix not in SUFFIXES:
        known = ", ".join(f"{suffix} ({what})" for suffix, what in SUFFIXES.items())
        raise _usage("TC0403", f"cannot tell what to write to {str(path)!r}",
                     f"the suffix decides: {known}")
    check_writable(path, model)


def check_files(model: Path, *paths: Path | None) -> None:
    """Refuses files that could not be written, and two that are one.

    Raises:
        UsageError: see `check_writable`, or two outputs have one name (TC0007).
    """
    given = [path for path in paths if path is not None]
    for path in given:
        check_writable(path, model)
        if sum(other.absolute() == path.absolute() for other in given) > 1:
            raise _usage("TC0007", f"two outputs are the same file: {str(path)!r}",
                         "give each a name of its own")


def check_writable(path: Path, model: Path) -> None:
    """Refuses a file that could not be written, before any work is done.

    Raises:
        UsageError: its folder cannot be written to, or it is the model itself (TC0007).
    """
    if path.is_dir():
        raise _usage("TC0007", f"cannot write {str(path)!r}: it is a folder", "name a file")
    if path.exists() and model.exists() and os.path.samefile(path, model):
        raise _usage("TC0007", f"cannot write {str(path)!r}: it is the model itself",
                     "give the output another name")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".ternc-"):
            pass
    except OSError as error:
        raise _usage("TC0007", f"cannot write {str(path)!r}: {error.strerror}",
                     "check that the folder exists and may be written to") from None


def _usage(code: str, message: str, help: str) -> UsageError:
    return UsageError((Diagnostic(code, message, help=help),))
