"""The C program that runs a model in the emulator: start-up, main, linker script."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ternc.emulation import memory
from ternc.emulation.errors import failed

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.loaded import LoadedModel


@dataclass(frozen=True, slots=True)
class Layer:
    """An instruction of the program; `macs` is None where only the blob is known."""

    name: str
    op: str
    macs: int | None
    scratch_bytes: int


@dataclass(frozen=True, slots=True)
class DeviceProgram:
    """What is compiled for the emulated machine, and what is known about it."""

    header: str  # C: model_blob, model_kernels, and MODEL_..._BYTES
    kernels: tuple[str, ...]  # of the runtime
    layers: tuple[Layer, ...]
    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]
    scratch_bytes: int
    state_bytes: int
    slow_bytes: int
    arena_bytes: int  # what load demands; the regions above are rounded up
    blob_bytes: int
    weight_bytes: int  # constants in the blob

    @property
    def fast_bytes(self) -> int:
        """The arena as the header has it."""
        return self.scratch_bytes + self.state_bytes


def of_compiled(compiled: CompiledModel) -> DeviceProgram:
    """The program of a compiled model, with the header that its user gets."""
    from ternc.backends.esp32.decode import decode
    from ternc.backends.esp32.emit_header import emit_header
    from ternc.backends.esp32.kernel_forms import linked_kernels
    from ternc.backends.esp32.program import Region

    program = compiled.program
    own = {native.opcode.name for native in program.natives}
    size = program.region_bytes
    return _checked(DeviceProgram(
        header=emit_header(program, compiled.blob, symbol="model"),
        kernels=tuple(name for name in linked_kernels(program.instructions) if name not in own),
        layers=tuple(Layer(item.layer, item.op_type, item.macs,
                           sum(tensor.nbytes for tensor in item.scratch))
                     for item in program.instructions),
        input_bytes=tuple(port.tensor.nbytes for port in program.inputs),
        output_bytes=tuple(port.tensor.nbytes for port in program.outputs),
        scratch_bytes=_round_up(size.get(Region.SCRATCH, 0)),
        state_bytes=_round_up(size.get(Region.STATE, 0)),
        slow_bytes=_round_up(size.get(Region.SLOW, 0)), arena_bytes=compiled.plan.arena_bytes,
        blob_bytes=len(compiled.blob), weight_bytes=len(decode(compiled.blob).data)))


def of_loaded(loaded: LoadedModel) -> DeviceProgram:
    """The program of a .tern file: instructions have names where the file holds them."""
    from ternc.backends.esp32.decode import decode
    from ternc.backends.esp32.isa import BY_NAME, Kind
    from ternc.backends.esp32.kernel_forms import linked_kernels
    from ternc.backends.esp32.program import Region

    parsed = decode(loaded.blob)
    kernels = linked_kernels(parsed.instructions)
    if strange := sorted({item.opcode.name for item in parsed.instructions} - set(BY_NAME)):
        raise failed(f"the program has generated code ({', '.join(strange)}), which is not in it",
                     "emulate the ONNX model instead")
    size = {region: _round_up(parsed.region_bytes.get(region, 0)) for region in Region}
    layers = []
    for item in parsed.instructions:
        scratch = [int(value) for operand, value in zip(
            item.opcode.operands, item.operands, strict=True)
            if operand.kind is Kind.SCRATCH and value is not None]
        layers.append(Layer(item.layer or item.opcode.name, item.opcode.name, None,
                            sum(parsed.tensors[i].size for i in scratch)))
    header = _blob_header(loaded.blob, kernels, size[Region.SCRATCH], size[Region.STATE],
                          size[Region.SLOW])
    return _checked(DeviceProgram(
        header, kernels, tuple(layers),
        tuple(parsed.tensors[p.tensor].size for p in parsed.ports if not p.is_output),
        tuple(parsed.tensors[p.tensor].size for p in parsed.ports if p.is_output),
        size[Region.SCRATCH], size[Region.STATE], size[Region.SLOW],
        parsed.region_bytes.get(Region.SCRATCH, 0) + parsed.region_bytes.get(Region.STATE, 0),
        len(loaded.blob),
        len(parsed.data)))


def _round_up(size: int) -> int:
    return -(-size // 16) * 16


def _checked(program: DeviceProgram) -> DeviceProgram:
    """The program, if the emulated machine has the memory that it wants."""
    for what, needed, most in (
            ("arena", program.fast_bytes, memory.ARENA_BYTES),
            ("slow scratch", program.slow_bytes, memory.SLOW_BYTES),
            ("program", program.blob_bytes, memory.FLASH_BYTES // 2)):
        if needed > most:
            raise failed(f"the {what} takes {needed:,} bytes; the emulated machine has {most:,}",
                         "this is more than any of the chips has")
    return program


def _blob_header(blob: bytes, kernels: tuple[str, ...], scratch: int, state: int,
                 slow: int) -> str:
    """What main.c needs of a header, from a blob alone."""
    padded = blob + bytes(-len(blob) % 4)
    words = struct.unpack(f"<{len(padded) // 4}I", padded)
    rows = [", ".join(f"0x{word:08x}u" for word in words[i : i + 8]) + ","
            for i in range(0, len(words), 8)]
    return "\n".join([
        '#include "ternc.h"\n#include "ternc_kernels.h"',
        f"#define MODEL_SCRATCH_BYTES {scratch}u", f"#define MODEL_STATE_BYTES {state}u",
        f"#define MODEL_SLOW_BYTES {slow}u", f"#define MODEL_BLOB_BYTES {len(blob)}u",
        f"#define MODEL_KERNEL_COUNT {len(kernels)}u",
        "static const ternc_kernel *const model_kernels[] = {",
        *(f"  &ternc_k_{name}," for name in kernels), "};",
        "static const uint32_t model_blob[] TERNC_ALIGNED = {", *rows, "};", ""])


def linker_script(program: DeviceProgram) -> str:
    """Where the linker places it; see `memory`."""
    arena = memory.ARENA + -program.fast_bytes % memory.PAGE
    slow = memory.SLOW + -program.slow_bytes % memory.PAGE
    return _LINKER % {
        "flash": memory.FLASH, "flash_bytes": memory.FLASH_BYTES, "data": memory.DATA,
        "data_bytes": memory.DATA_BYTES, "stack": memory.STACK, "arena": arena, "slow": slow,
        "exchange": memory.EXCHANGE,
    }


_LINKER: Final = """\
ENTRY(_start)
MEMORY {
  flash (rx) : ORIGIN = %(flash)#x, LENGTH = %(flash_bytes)#x
  data (rw) : ORIGIN = %(data)#x, LENGTH = %(data_bytes)#x
}
SECTIONS {
  .harness : { KEEP(*(.harness.start)) *(.harness .harness.*) } > flash
  .text : ALIGN(16) { *(.text .text.*) } > flash
  .rodata : ALIGN(16) { *(.rodata .rodata.* .srodata .srodata.*) } > flash
  .data : ALIGN(16) { *(.data .data.* .sdata .sdata.*) } > data
  .bss (NOLOAD) : ALIGN(16) { *(.sbss .sbss.* .bss .bss.* COMMON) } > data
  /DISCARD/ : { *(.comment) *(.eh_frame*) *(.note*) *(.riscv.attributes) }
}
ternc_stack = %(stack)#x;
ternc_stack_end = %(data)#x;
ternc_arena = %(arena)#x;
ternc_slow = %(slow)#x;
ternc_exchange = %(exchange)#x;
"""

# CSR instructions are written as numbers: assemblers differ in which extension they want named.
START: Final = """\
  .section .harness.start,"ax"
  .globl _start
_start:
  la t0, ternc_trap
  .4byte 0x30529073          /* csrw mtvec, t0 */
#ifdef __riscv_flen
  li t0, 0x6000
  .4byte 0x3002a073          /* csrs mstatus, t0: floating point on */
#endif
  la sp, ternc_stack_end
  j ternc_main

  .section .harness,"ax"
  .balign 4
ternc_trap:                  /* only in QEMU; unicorn stops by itself */
  la t1, ternc_exchange
  .4byte 0x341022f3          /* csrr t0, mepc */
  sw t0, 40(t1)
  .4byte 0x342022f3          /* csrr t0, mcause */
  sw t0, 44(t1)
  li t0, 0x7ffffffe
  sw t0, 4(t1)
  j ternc_finish

/* The callback of ternc_run_with: notes the instruction counter. a0 points to where. */
  .globl ternc_mark
ternc_mark:
  .4byte 0xc02022f3          /* rdinstret t0 */
  lw t1, 0(a0)
  sw t0, 0(t1)
  addi t1, t1, 4
  sw t1, 0(a0)
  li a0, 0
  ret
  .globl ternc_mark_end
ternc_mark_end:

/* status = ternc_measured_run(model, &cursor): runs it between two more marks, and measures the
 * stack below itself by what of it is no longer as it was painted. */
  .globl ternc_measured_run
ternc_measured_run:
  addi sp, sp, -16
  sw ra, 12(sp)
  sw s0, 8(sp)
  sw s1, 4(sp)
  mv s1, a1
  la t0, ternc_stack
  li t1, 0xa5a5a5a5
1:
  sw t1, 0(t0)
  addi t0, t0, 4
  bltu t0, sp, 1b
  mv a2, a1
  la a1, ternc_mark
  la t0, ternc_run_with
  j ternc_run_begin
  .globl ternc_run_begin
ternc_run_begin:
  .4byte 0xc0202473          /* rdinstret s0 */
  jalr t0
  .globl ternc_run_end
ternc_run_end:
  .4byte 0xc02022f3          /* rdinstret t0 */
  lw t1, 0(s1)
  sw s0, 0(t1)
  sw t0, 4(t1)
  addi t1, t1, 8
  sw t1, 0(s1)
  la t0, ternc_stack
  li t1, 0xa5a5a5a5
2:
  lw t2, 0(t0)
  addi t0, t0, 4
  beq t2, t1, 2b
  addi t0, t0, -4
  sub t0, sp, t0
  la t1, ternc_exchange
  lw t2, 12(t1)
  bgeu t2, t0, 3f
  sw t0, 12(t1)
3:
  lw ra, 12(sp)
  lw s0, 8(sp)
  lw s1, 4(sp)
  addi sp, sp, 16
  ret

/* Here unicorn stops. In QEMU: the exchange into a file by semihosting, then the end. */
  .globl ternc_finish
ternc_finish:
  la a1, ternc_open
  li a0, 1
  call ternc_semihost
  la a1, ternc_write
  sw a0, 0(a1)
  la t0, ternc_exchange
  sw t0, 4(a1)
  lw t0, 36(t0)
  sw t0, 8(a1)
  li a0, 5
  call ternc_semihost
  li a1, 0x20026
  li a0, 0x18
  call ternc_semihost
  .balign 16
  .option push
  .option norvc
ternc_semihost:
  slli zero, zero, 0x1f
  ebreak
  srai zero, zero, 7
  ret
  .option pop

ternc_result:
  .asciz "result.bin"
  .balign 4
ternc_open:
  .4byte ternc_result, 5, 10 /* mode "wb" */
ternc_write:
  .4byte 0, 0, 0
"""

MAIN: Final = """\
#include "model.h"

#define HARNESS __attribute__((noinline, used, section(".harness")))
typedef struct {
  uint32_t samples, status, done, stack_bytes, scratch_bytes, slow_bytes;
  uint8_t *inputs, *outputs;
  uint32_t *marks;
} exchange;
extern uint8_t ternc_arena[], ternc_slow[];
extern exchange ternc_exchange;
void *memcpy(void *, const void *, size_t);
ternc_status ternc_measured_run(ternc_model *, uint32_t **cursor);
void ternc_finish(void);

static uint32_t pattern(uint32_t i) { return (i + 1) * 2654435761u; }

HARNESS static void paint(uint8_t *bytes, uint32_t size) {
  uint32_t *words = (uint32_t *)(void *)bytes, i;
  for (i = 0; i < size / 4; i++) words[i] = pattern(i);
}

HARNESS static uint32_t touched(const uint8_t *bytes, uint32_t size) {
  const uint32_t *words = (const uint32_t *)(const void *)bytes;
  uint32_t i = size / 4;
  while (i > 0 && words[i - 1] == pattern(i - 1)) i--;
  return 4 * i;
}

HARNESS static void run(ternc_model *model) {
  exchange *x = &ternc_exchange;
  const uint8_t *from = x->inputs;
  uint8_t *to = x->outputs;
  uint32_t *cursor = x->marks;
  uint32_t sample, i;
  ternc_tensor tensor;
  for (sample = 0; sample < x->samples; sample++) {
    for (i = 0; i < ternc_input_count(model); i++) {
      ternc_input(model, i, &tensor);
      memcpy(tensor.data, from, tensor.size);
      from += tensor.size;
    }
    x->status = (uint32_t)ternc_measured_run(model, &cursor);
    if (x->status != (uint32_t)TERNC_OK) return;
    for (i = 0; i < ternc_output_count(model); i++) {
      ternc_output(model, i, &tensor);
      memcpy(to, tensor.data, tensor.size);
      to += tensor.size;
    }
    x->done++;
  }
  x->scratch_bytes = touched(ternc_arena, MODEL_SCRATCH_BYTES);
  x->slow_bytes = touched(ternc_slow, MODEL_SLOW_BYTES);
}

HARNESS void ternc_main(void) {
  ternc_model model;
  ternc_region regions[TERNC_REGIONS];
  regions[0].data = ternc_arena;
  regions[0].size = MODEL_SCRATCH_BYTES;
  regions[1].data = ternc_arena + MODEL_SCRATCH_BYTES;
  regions[1].size = MODEL_STATE_BYTES;
  regions[2].data = ternc_slow;
  regions[2].size = MODEL_SLOW_BYTES;
  ternc_exchange.status = (uint32_t)ternc_load(&model, model_blob, MODEL_BLOB_BYTES,
                                               model_kernels, MODEL_KERNEL_COUNT, regions);
  if (ternc_exchange.status == (uint32_t)TERNC_OK) {
    paint(ternc_arena, MODEL_SCRATCH_BYTES);
    paint(ternc_slow, MODEL_SLOW_BYTES);
    run(&model);
  }
  ternc_finish();
}
"""
