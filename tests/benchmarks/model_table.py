"""The table of the models in ../shared/models: size, memory, and how far from onnxruntime.

    python -m tests.benchmarks.model_table

Float models: the largest |a - b| / max|b| over outputs and samples. Integer models: the largest
difference, in steps, of any layer that is fed onnxruntime's integers, and end-to-end top-1.
"""

from __future__ import annotations

import sys

import numpy as np

from ternc import compiler
from ternc.layerwise import check_layers
from ternc.oracle import Oracle
from tests.shared_models import feeds, model_id, paths


def main() -> int:
    """Prints the table; 1 when a model misses its bound."""
    failed = False
    print("| model | flash B | arena B | lower bound B | worst error | top-1 | inputs |")
    print("|---|---|---|---|---|---|---|")
    for path in paths():
        compiled = compiler.compile(path, "esp32c3", check_fit=False)
        samples, kind = feeds(path, compiled.source)
        oracle = Oracle(compiled.model)
        quantized = any(node.op_type == "QuantizeLinear" for node in compiled.model.graph)
        worst, same, compared = 0.0, 0, 0
        for feed in samples:
            expected, got = oracle.run(feed), compiled.run(feed)
            for name, value in expected.items():
                if value.size > 1:
                    compared += 1
                    same += int(value.argmax() == got[name].argmax())
                if not quantized:
                    error = np.abs(got[name] - value).max() / max(np.abs(value).max(), 1e-6)
                    worst = max(worst, float(error))
        if quantized:
            results = check_layers(compiled.model, samples)
            steps = max((r.worst for r in results if r.integer), default=0.0)
            text = f"{steps:.0f} step(s) in {len(results)} layers"
            failed |= not all(r.passed for r in results)
        else:
            text = f"{worst:.1e}"
            failed |= worst > 1e-5
        print(f"| {model_id(path)} | {len(compiled.blob):,} | {compiled.plan.arena_bytes:,} | "
              f"{compiled.plan.lower_bound_bytes:,} | {text} | {same}/{compared} | "
              f"{len(samples)} x {kind} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
