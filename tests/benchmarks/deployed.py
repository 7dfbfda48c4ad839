"""A deployed linear layer beside torch's float one: time of a call, memory, difference.

    python -m tests.benchmarks.deployed [--device cuda] [--dtype float16] [--threads 1]

Times are medians of this machine; both layers run in turn, on the same input.
"""

from __future__ import annotations

import argparse

import torch
from torch import nn
from torch.nn import functional
from torch.utils.benchmark import Timer

import ternc.qat.torch as qat

SAMPLES = (1, 2, 4, 16, 64)


def _microseconds(layer: nn.Module, x: torch.Tensor) -> float:
    threads = torch.get_num_threads()
    timer = Timer("layer(x)", globals={"layer": layer, "x": x}, num_threads=threads)
    return 1e6 * float(timer.blocked_autorange(min_run_time=1.0).median)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    parser.add_argument("--size", type=int, default=4096, help="inputs and outputs of the layer")
    return parser.parse_args()


def main() -> None:
    arguments = _parsed()
    torch.set_grad_enabled(False)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    place = {"device": arguments.device, "dtype": getattr(torch, arguments.dtype)}
    size = arguments.size
    trained = qat.BitLinear(size, size, bias=False).to(**place).eval()
    plain = nn.Linear(size, size, bias=False, **place)
    deployed = trained.deploy()
    held = [sum(value.numel() * value.element_size() for value in layer.state_dict().values())
            for layer in (deployed, plain)]
    print(f"{size} x {size}, {arguments.dtype} on {arguments.device}: "
          f"{held[0]:,} bytes deployed, {held[1]:,} float")
    for samples in SAMPLES:
        x = torch.randn(samples, size, **place)
        expected = functional.linear(x.double(), trained.used().double())
        error = (deployed(x).double() - expected).abs().max() / expected.abs().max()
        print(f"{samples:4} samples: {_microseconds(deployed, x):9.1f} us deployed, "
              f"{_microseconds(plain, x):9.1f} float; largest relative difference {error:.1e}")


if __name__ == "__main__":
    main()
