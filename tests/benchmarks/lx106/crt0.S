/* QEMU's `sim` board with an lx106 core starts at 0x50000000: a stack, main, and the end. */
  .section .reset, "ax"
  .global _start
_start:
  j begin

  .section .text
  .literal_position
  .align 4
begin:
  movi a1, stack_top
  call0 main
  mov a3, a2
  movi a2, 1 /* exit(a3) */
  simcall
1:
  j 1b

/* 64-bit product, without the upper half of a product that LX6 and LX7 compute in one instruction
 * and this core does not have: four of 16 bits. */
  .global __muldi3
  .align 4
__muldi3: /* a3:a2 * a5:a4, low words first in the pairs */
  mull a3, a3, a4
  mull a5, a5, a2
  add a3, a3, a5
  extui a6, a2, 16, 16
  extui a7, a4, 16, 16
  mul16u a8, a2, a7 /* low * high */
  mul16u a9, a6, a4 /* high * low */
  mul16u a6, a6, a7
  mul16u a5, a2, a4
  add a3, a3, a6
  add a8, a8, a9
  bgeu a8, a9, 2f
  movi a7, 1
  slli a7, a7, 16
  add a3, a3, a7
2:
  slli a9, a8, 16
  extui a8, a8, 16, 16
  add a3, a3, a8
  add a2, a5, a9
  bgeu a2, a5, 3f
  addi a3, a3, 1
3:
  ret
