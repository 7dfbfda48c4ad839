"""Emulation of the target: the C code and the model, cross-compiled, in a RISC-V emulator.

`emulate` compiles what the user would flash for the target's instruction set, runs it, and returns
its answers, exact instruction counts for each layer, stack and memory. It needs the packages
unicorn and ziglang (`pip install 'ternc[emulator]'`) and nothing else.
"""

from ternc.emulation.errors import EmulationError, ToolError
from ternc.emulation.result import EmulationResult, Flash
from ternc.emulation.run import (
    EMULATORS,
    MAX_INSTRUCTIONS,
    EmulatorName,
    can_emulate,
    check_tools,
    emulate,
    emulate_bytes,
    host_bytes,
)

__all__ = [
    "EMULATORS", "MAX_INSTRUCTIONS", "EmulationError", "EmulationResult", "EmulatorName", "Flash",
    "ToolError", "can_emulate", "check_tools", "emulate", "emulate_bytes", "host_bytes",
]
