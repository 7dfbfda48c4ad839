"""The memory plan: nothing alive is overwritten, and the arena is as small as can be shown."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.backends.esp32 import memory_plan
from ternc.backends.esp32.memory_plan import Block, _lower_bound, _place, plan_memory
from ternc.backends.esp32.program import DType, Program, Region, Tensor
from ternc.backends.esp32.schedule import peak_of
from tests.planning import make, program, programs, run_symbolically, tensor

SETTINGS = settings(deadline=None, max_examples=100, derandomize=True)


@SETTINGS
@given(programs())
def test_nothing_alive_is_overwritten(item: Program) -> None:
    plan = plan_memory(item)
    run_symbolically(item)
    assert plan.arena_bytes >= plan.lower_bound_bytes
    assert plan.arena_bytes == sum(item.region_bytes.values())
    assert plan.lower_bound_bytes <= plan.given_order_bound_bytes


@SETTINGS
@given(programs())
def test_the_bound_is_the_peak(item: Program) -> None:
    """The planner and the scheduler count the same bytes, for whatever order."""
    plan = plan_memory(item, reorder=False)
    assert plan.lower_bound_bytes == peak_of(item, list(range(len(item.instructions))))
    assert sum(size for _, size in plan.peak_tensors) == plan.lower_bound_bytes


@st.composite
def intervals(draw: st.DrawFn, most: int, largest: int) -> list[Block]:
    steps = 6
    blocks = []
    for i in range(draw(st.integers(1, most))):
        first = draw(st.integers(0, steps - 1))
        item = tensor(f"t{i}", draw(st.integers(1, largest)), draw(st.sampled_from([1, 1, 2])))
        blocks.append(Block([item], first, draw(st.integers(first, steps))))
    return blocks


def apart(a: Block, b: Block) -> bool:
    return (not a.overlaps(b) or a.offset + a.size <= b.offset or b.offset + b.size <= a.offset)


@SETTINGS
@given(intervals(most=30, largest=100))
def test_blocks_alive_together_are_apart(blocks: list[Block]) -> None:
    bound, _ = _lower_bound(blocks, 7)
    _, size = _place(blocks, bound)
    assert all(apart(a, b) for a, b in itertools.combinations(blocks, 2))
    assert all(block.offset % block.alignment == 0 for block in blocks)
    assert bound <= size == max(block.offset + block.size for block in blocks)


def smallest_arena(blocks: list[Block]) -> int:
    """The optimum, by trying every offset."""
    whole = sum(block.size + block.alignment - 1 for block in blocks)
    for arena in range(whole + 1):
        if _fits(blocks, [], arena):
            return arena
    raise AssertionError


def _fits(blocks: list[Block], placed: list[Block], arena: int) -> bool:
    if len(placed) == len(blocks):
        return True
    block = blocks[len(placed)]
    for offset in range(0, arena - block.size + 1, block.alignment):
        block.offset = offset
        if all(apart(block, other) for other in placed) and _fits(blocks, [*placed, block], arena):
            return True
    return False


@settings(SETTINGS, max_examples=60)
@given(intervals(most=5, largest=5))
def test_few_blocks_are_placed_optimally(blocks: list[Block]) -> None:
    bound, _ = _lower_bound(blocks, 7)
    _, size = _place(blocks, bound)
    assert size == smallest_arena(blocks)


def test_local_search_improves_on_the_heuristics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many blocks to try all orders, and every heuristic leaves a gap."""
    spans = [(4, 4, 4), (3, 4, 2), (1, 4, 2), (2, 3, 5), (3, 4, 4), (7, 8, 1), (4, 4, 3),
             (1, 3, 1)]
    blocks = [Block([tensor(f"t{i}", size)], first, last)
              for i, (first, last, size) in enumerate(spans)]
    bound, _ = _lower_bound(blocks, 8)
    assert _place(blocks, bound) == ("local search", bound)
    monkeypatch.setattr(memory_plan, "_SEARCH_STEPS", 0)
    assert _place(blocks, bound)[1] > bound


def test_one_tensor_as_input_and_output() -> None:
    x, y = tensor("x", 8), tensor("y", 8)
    item = program([make("sigmoid_f32", x=x, y=y)], [x], [y, x])
    assert plan_memory(item).arena_bytes == 16  # x is an output too: y cannot take its place
    run_symbolically(item)


def test_in_place_takes_the_place_of_a_dying_input() -> None:
    x, y, z = (tensor(name, 8) for name in "xyz")
    item = program([make("sigmoid_f32", x=x, y=y), make("sigmoid_f32", x=y, y=z)], [x], [z])
    plan = plan_memory(item)
    assert plan.arena_bytes == plan.lower_bound_bytes == 8
    assert plan.peak_tensors == (("x = y = z", 8),)


def test_not_in_place_where_another_operand_is_read_elsewhere() -> None:
    """x + broadcast x: the same tensor under two strides is not overwritten while it is read."""
    x, y = tensor("x", 8), tensor("y", 8)
    added = make("add_i8", a=x, b=x, y=y)
    names = [operand.name for operand in added.opcode.operands]
    numbers = list(added.operands)
    numbers[names.index("bs5")] = 0
    added.operands = tuple(numbers)
    assert plan_memory(program([added], [x], [y])).arena_bytes == 16


def test_state_and_scratch_are_separate() -> None:
    x, y = tensor("x", 4), tensor("y", 4)
    state = Tensor("h", DType.F32, (3,), Region.STATE)
    items = [make("add_i8", a=x, b=state, y=y), make("sigmoid_f32", x=y, y=state)]
    item = program(items, [x], [y])
    plan = plan_memory(item)
    assert item.region_bytes[Region.STATE] == 12
    assert state.offset == 0
    assert plan.arena_bytes == item.region_bytes[Region.SCRATCH] + 12


def test_alignment_leaves_gaps_only_where_it_must() -> None:
    a, b = tensor("a", 3), tensor("b", 16, align=16)
    item = program([make("copy_nd", x=a, y=b)], [a], [b])
    plan = plan_memory(item)
    assert plan.lower_bound_bytes == 19
    assert plan.arena_bytes == 19  # b first, a behind it


def test_program_without_instructions() -> None:
    x = tensor("x", 5)
    assert plan_memory(program([], [x], [x])).arena_bytes == 5
    assert plan_memory(program([], [], [])).arena_bytes == 0
