"""The order of execution: data dependences kept, the peak as low as any order allows."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings

from ternc.backends.esp32.memory_plan import plan_memory
from ternc.backends.esp32.program import DType, Instruction, Program, Region, Tensor
from ternc.backends.esp32.schedule import best_order, peak_of
from tests.agreement import check, model
from tests.planning import make, program, programs, run_symbolically, tensor

SETTINGS = settings(deadline=None, max_examples=100, derandomize=True)


def legal(items: list[Instruction], order: list[int]) -> bool:
    """Whether every read sees the writes that it saw before, and no others."""
    for i, k in itertools.combinations(range(len(items)), 2):
        first, second = items[i], items[k]
        written, touched = set(map(id, first.writes)), set(map(id, first.reads)) | set(
            map(id, first.writes))
        conflict = written & set(map(id, second.reads)) or touched & set(map(id, second.writes))
        if conflict and order.index(i) > order.index(k):
            return False
    return True


@SETTINGS
@given(programs())
def test_order_is_legal_and_no_worse(item: Program) -> None:
    order = best_order(item)
    assert sorted(order) == list(range(len(item.instructions)))
    assert legal(item.instructions, order)
    assert peak_of(item, order) <= peak_of(item, list(range(len(item.instructions))))


@settings(SETTINGS, max_examples=60)
@given(programs(most=5))
def test_order_is_optimal(item: Program) -> None:
    """No legal order of a small program has a lower peak."""
    orders = (list(o) for o in itertools.permutations(range(len(item.instructions))))
    peaks = [peak_of(item, order) for order in orders if legal(item.instructions, order)]
    assert peak_of(item, best_order(item)) == min(peaks)


def branches() -> Program:
    """Two branches with a large tensor in each, written one beside the other."""
    x, a, b = tensor("x", 10), tensor("a", 1000), tensor("b", 1000)
    c, d, y = tensor("c", 10), tensor("d", 10), tensor("y", 10)
    return program(
        [make("copy_nd", x=x, y=a), make("copy_nd", x=x, y=b), make("copy_nd", x=a, y=c),
         make("copy_nd", x=b, y=d), make("add_i8", a=c, b=d, y=y)], [x], [y])


def test_branches_run_one_after_the_other() -> None:
    item = branches()
    assert peak_of(item, [0, 1, 2, 3, 4]) == 2020 - 10
    plan = plan_memory(item)
    assert plan.given_order_bound_bytes == 2010
    assert plan.arena_bytes == plan.lower_bound_bytes == 1020
    run_symbolically(item)


def test_branching_model() -> None:
    """The same in ONNX: the search over orders saves almost half."""
    compiled = check(model(
        "g (float[1,64] x) => (float[1,64] y) {a=Expand(x,s) b=Expand(x,s)"
        " c=ReduceMean<keepdims=0>(a,axes) d=ReduceMean<keepdims=0>(b,axes) y=Sub(c,d)}",
        s=[16, 64], axes=[0]))
    assert compiled.plan.arena_bytes == compiled.plan.lower_bound_bytes
    assert compiled.plan.lower_bound_bytes < 0.6 * compiled.plan.given_order_bound_bytes


def test_a_tensor_is_not_overwritten_before_it_is_read() -> None:
    """State: the reader of the old value stays before the writer of the new one."""
    x, old, new = tensor("x", 4), tensor("old", 4), tensor("new", 400)
    state = Tensor("h", DType.I8, (4,), Region.STATE)
    item = program(
        [make("copy_nd", x=x, y=new), make("copy_nd", x=state, y=old),
         make("copy_nd", x=new, y=state)], [x], [old])
    assert best_order(item).index(1) < best_order(item).index(2)


@pytest.mark.parametrize(("branches", "depth"), [(40, 5), (1, 300), (100, 2)])
def test_large_programs_take_little_time(branches: int, depth: int) -> None:
    x, items, ends = tensor("x", 8), [], []
    for b in range(branches):
        last = x
        for d in range(depth):
            following = tensor(f"v{b}_{d}", 16 if d % 2 else 64)
            items.append(make("copy_nd", x=last, y=following))
            last = following
        ends.append(last)
    item = program(items, [x], ends)
    started = time.perf_counter()
    plan_memory(item)
    assert time.perf_counter() - started < 15  # a second or two; generous for a busy machine
    run_symbolically(item)
