"""Loading: every damage has its status, and no blob makes the runtime leave its memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ternc.backends.esp32.decode import decode
from ternc.backends.esp32.encode import encode, seal
from ternc.backends.esp32.isa import OPCODES
from tests import programs
from tests.runtime import loader
from tests.runtime.loader import Answer, Flags, Loader

BLOBS = {
    "dense": encode(programs.dense(), names=True),
    "accumulator": encode(programs.accumulator()),
    "normalization": encode(programs.normalization()),
}
DENSE = BLOBS["dense"]
DENSE_CODE, LUT_CODE = 0x0C, 0x27


@pytest.fixture(scope="module")
def load(sanitized_loader: Path) -> Iterator[Loader]:
    running = Loader(sanitized_loader)
    yield running
    running.close()


def sections(blob: bytes) -> dict[str, int]:
    """Offset of each section's header."""
    found, at = {}, 32
    while at < len(blob):
        tag, length = struct.unpack_from("<4sI", blob, at)
        found[tag.decode()] = at
        at += 16 + -(-length // 16) * 16
    return found


def patched(blob: bytes, at: int, value: int, layout: str = "<I") -> bytes:
    """`blob` with one field changed and the checksum made right."""
    damaged = bytearray(blob)
    struct.pack_into(layout, damaged, at, value)
    return seal(bytes(damaged))


def payload(tag: str, at: int = 0, blob: bytes = DENSE) -> int:
    return sections(blob)[tag] + 16 + at


def tensor(name: str) -> int:
    """Index of a tensor of the dense blob."""
    return [record.name for record in decode(DENSE).tensors].index(name)


class TestGood:
    @pytest.mark.parametrize("name", BLOBS)
    def test_loads_and_runs(self, load: Loader, name: str) -> None:
        assert load.load(BLOBS[name]) == Answer(loader.OK, 0, loader.OK)

    def test_unknown_optional_section_is_skipped(self, load: Loader) -> None:
        blob = patched(DENSE, sections(DENSE)["NAME"], int.from_bytes(b"ABCD", "little"))
        assert load.load(blob).load == loader.OK

    def test_later_minor_version(self, load: Loader) -> None:
        assert load.load(patched(DENSE, 6, 7, "<H")).load == loader.OK

    def test_bytes_after_the_blob_are_ignored(self, load: Loader) -> None:
        assert load.load(DENSE + b"\xff" * 40).load == loader.OK


class TestHeader:
    @pytest.mark.parametrize(("at", "value", "status"), [
        (0, 0, loader.MAGIC), (4, 2, loader.VERSION), (4, 0, loader.VERSION),
        (12, 1, loader.CRC), (16, 0, loader.SECTION), (16, 2**32 - 1, loader.SECTION),
    ])
    def test_field(self, load: Loader, at: int, value: int, status: int) -> None:
        blob = bytearray(patched(DENSE, at, value, "<H" if at == 4 else "<I"))
        if status == loader.CRC:
            struct.pack_into("<I", blob, 12, value)
        assert load.load(bytes(blob)).load == status

    @pytest.mark.parametrize("size", [0, 1, 31, 32, 33, len(DENSE) - 1])
    def test_truncated(self, load: Loader, size: int) -> None:
        assert load.load(DENSE[:size]).load == loader.TRUNCATED

    def test_size_of_the_header_alone(self, load: Loader) -> None:
        for size in (0, 31):
            blob = bytearray(DENSE)
            struct.pack_into("<I", blob, 8, size)
            assert load.load(bytes(blob)).load == loader.SECTION

    def test_every_flipped_bit_is_noticed(self, load: Loader) -> None:
        for at in range(0, len(DENSE), 7):
            damaged = bytearray(DENSE)
            damaged[at] ^= 1 << at % 8
            answer = load.load(bytes(damaged))
            assert answer.load != loader.OK or at in (6, 7), at  # the minor version is not covered


class TestMemory:
    @pytest.mark.parametrize(("flags", "status"), [
        (Flags.SMALL_REGION, loader.REGION), (Flags.NO_REGION, loader.REGION),
        (Flags.SHIFT_BLOB, loader.ALIGNMENT), (Flags.SHIFT_REGION, loader.ALIGNMENT),
        (Flags.SHORT_SIZE, loader.TRUNCATED),
    ])
    def test_wrong_memory(self, load: Loader, flags: Flags, status: int) -> None:
        assert load.load(DENSE, flags=flags).load == status

    def test_tensor_beyond_its_region(self, load: Loader) -> None:
        assert load.load(patched(DENSE, 20, 34)).load == loader.SECTION

    def test_regions_are_checked_one_by_one(self, load: Loader) -> None:
        blob = BLOBS["normalization"]
        for at in (20, 28):
            assert load.load(patched(blob, at, 0)).load == loader.SECTION


class TestInstructionSet:
    @pytest.mark.parametrize("code", [DENSE_CODE, LUT_CODE])
    def test_missing_kernel(self, load: Loader, code: int) -> None:
        assert load.load(DENSE, omit=code) == Answer(loader.KERNEL, code, loader.NOT_RUN)

    def test_unknown_code(self, load: Loader) -> None:
        blob = patched(DENSE, payload("OPS "), 0x7FFF, "<H")
        assert load.load(blob) == Answer(loader.OPCODE, 0x7FFF, loader.NOT_RUN)

    def test_every_missing_kernel(self, load: Loader) -> None:
        """A kernel that is not linked is told apart from an instruction that is not known."""
        for code in range(256):
            known = {op.revision for op in OPCODES if op.code == code}
            for revision in range(4):
                blob = patched(DENSE, payload("OPS "), code | revision << 16)
                status = loader.KERNEL if revision in known else loader.OPCODE
                assert load.load(blob, omit=code) == Answer(status, code, loader.NOT_RUN)

    @pytest.mark.parametrize("omit", [0, DENSE_CODE])
    def test_other_revision(self, load: Loader, omit: int) -> None:
        blob = patched(DENSE, payload("OPS ", 2), 9, "<H")
        assert load.load(blob, omit=omit) == Answer(loader.OPCODE, DENSE_CODE, loader.NOT_RUN)

    def test_instruction_that_is_not_listed(self, load: Loader) -> None:
        blob = patched(DENSE, payload("OPS "), 0x01, "<H")
        assert load.load(blob) == Answer(loader.OPCODE, DENSE_CODE, loader.NOT_RUN)


class TestSections:
    @pytest.mark.parametrize("tag", ["OPS ", "TENS", "IO  ", "CODE", "STRS", "DATA"])
    def test_missing(self, load: Loader, tag: str) -> None:
        optional = patched(DENSE, sections(DENSE)[tag] + 8, 0)
        blob = patched(optional, sections(DENSE)[tag], int.from_bytes(b"ABCD", "little"))
        assert load.load(blob).load == loader.SECTION

    def test_required_and_unknown(self, load: Loader) -> None:
        blob = patched(DENSE, sections(DENSE)["NAME"] + 8, 1)
        assert load.load(blob).load == loader.SECTION

    def test_twice(self, load: Loader) -> None:
        blob = patched(DENSE, sections(DENSE)["NAME"], int.from_bytes(b"OPS ", "little"))
        assert load.load(blob).load == loader.SECTION

    @pytest.mark.parametrize("tag", ["OPS ", "TENS", "IO  ", "CODE", "DATA", "STRS"])
    @pytest.mark.parametrize("length", [0x7FFFFFF0, 0xFFFFFFF0, 0xFFFFFFFF])
    def test_endless(self, load: Loader, tag: str, length: int) -> None:
        assert load.load(patched(DENSE, sections(DENSE)[tag] + 4, length)).load == loader.SECTION

    @pytest.mark.parametrize("tag", ["OPS ", "TENS", "IO  ", "CODE"])
    @pytest.mark.parametrize("change", [-1, 1, 2**31])
    def test_wrong_count(self, load: Loader, tag: str, change: int) -> None:
        at = sections(DENSE)[tag] + 12
        (count,) = struct.unpack_from("<I", DENSE, at)
        blob = patched(DENSE, at, (count + change) % 2**32)
        assert load.load(blob).load == loader.SECTION

    def test_code_is_whole_words(self, load: Loader) -> None:
        at = sections(DENSE)["CODE"] + 4
        (length,) = struct.unpack_from("<I", DENSE, at)
        assert load.load(patched(DENSE, at, length + 1)).load == loader.SECTION

    def test_names_end_in_zero(self, load: Loader) -> None:
        (length,) = struct.unpack_from("<I", DENSE, sections(DENSE)["STRS"] + 4)
        for at in (0, length - 1):
            assert load.load(patched(DENSE, payload("STRS", at), 65, "<B")).load == loader.SECTION


TENSOR_FIELDS = [
    (0, "<B", 0), (0, "<B", 7), (1, "<B", 4), (4, "<I", 2**32 - 4), (4, "<I", 48),
    (8, "<I", 0), (8, "<I", 2**32 - 4), (8, "<I", 49),
]
PORT_FIELDS = [
    (0, 2), (4, 7), (4, 2**32 - 1), (8, 2**20), (24, 9), (28, 2), (32, 5), (32, 2**32 - 1),
    (16, 0x7FC00000), (16, 0xBF800000), (16, 0x7F800000), (16, 1),
]


class TestRecords:
    @pytest.mark.parametrize(("at", "layout", "value"), TENSOR_FIELDS)
    def test_tensor(self, load: Loader, at: int, layout: str, value: int) -> None:
        assert load.load(patched(DENSE, payload("TENS", at), value, layout)).load == loader.SECTION

    def test_misaligned_tensor(self, load: Loader) -> None:
        blob = patched(BLOBS["accumulator"], 20, 64)  # room enough for every offset below
        for offset, status in ((4, loader.OK), (2, loader.SECTION), (1, loader.SECTION)):
            moved = patched(blob, payload("TENS", 4, blob), offset)
            assert load.load(moved).load == status

    def test_empty_tensor(self, load: Loader) -> None:
        for name in ("hidden", "table"):
            blob = patched(DENSE, payload("TENS", 12 * tensor(name) + 8), 0)
            assert load.load(blob).load == loader.SECTION

    @pytest.mark.parametrize(("at", "value"), PORT_FIELDS)
    def test_port(self, load: Loader, at: int, value: int) -> None:
        assert load.load(patched(DENSE, payload("IO  ", at), value)).load == loader.SECTION

    def test_input_after_output(self, load: Loader) -> None:
        blob = patched(patched(DENSE, payload("IO  "), 1), payload("IO  ", 64), 0)
        assert load.load(blob).load == loader.SECTION

    def test_dims_whose_product_wraps(self, load: Loader) -> None:
        blob = patched(DENSE, payload("IO  ", 24), 3)
        for at, dim in ((28, 2**31 - 1), (32, 2**31 - 1), (36, 6)):
            blob = patched(blob, payload("IO  ", at), dim)
        assert load.load(blob).load == loader.SECTION

    def test_more_dims_than_the_record_holds(self, load: Loader) -> None:
        blob = DENSE
        for at in range(36, 64, 4):
            blob = patched(blob, payload("IO  ", at), 1)
        for rank, status in ((8, loader.OK), (9, loader.SECTION)):
            assert load.load(patched(blob, payload("IO  ", 24), rank)).load == status

    def test_constant_input_is_refused_and_constant_output_is_not(self, load: Loader) -> None:
        w = tensor("w")
        for port, status in ((0, loader.SECTION), (1, loader.OK)):
            blob = patched(DENSE, payload("IO  ", 64 * port + 4), w)
            blob = patched(blob, payload("IO  ", 64 * port + 32), 5)
            assert load.load(blob).load == status


class TestOperands:
    @pytest.mark.parametrize(("word", "value"), [
        (0, 99), (0, 2**32 - 1),  # x: no such tensor, absent
        (1, 0), (1, 2**32 - 1),  # w: not a constant, absent
        (4, 2), (4, 99),  # y: a constant, no such tensor
        (6, 7), (6, 2**31), (7, 4), (8, 200),  # sizes that do not fit, a shift out of range
    ])
    def test_refused(self, load: Loader, word: int, value: int) -> None:
        blob = patched(DENSE, payload("CODE", 4 + 4 * word), value)
        assert load.load(blob) == Answer(loader.OPERAND, DENSE_CODE, loader.NOT_RUN)

    def test_writing_to_a_constant(self, load: Loader) -> None:
        # The table has the type and room that the kernel wants of its output.
        at = payload("CODE", 4 * 12 + 4 + 4 * 2)
        assert struct.unpack_from("<I", DENSE, at) == (tensor("y"),)
        blob = patched(DENSE, at, tensor("table"))
        assert load.load(blob) == Answer(loader.OPERAND, LUT_CODE, loader.NOT_RUN)

    def test_number_of_words(self, load: Loader) -> None:
        for words in (0, 10, 12, 0xFFFF):
            blob = patched(DENSE, payload("CODE"), DENSE_CODE | words << 16)
            assert load.load(blob) == Answer(loader.OPERAND, DENSE_CODE, loader.NOT_RUN)

    def test_program_cut_short(self, load: Loader) -> None:
        blob = BLOBS["normalization"]  # its code fills its section, so the next stays in place
        at = sections(blob)["CODE"] + 4
        assert struct.unpack_from("<I", blob, at) == (32,)
        for length in (20, 24, 28):
            assert load.load(patched(blob, at, length)).load == loader.OPERAND


FUZZ = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture],
)
WORDS = st.one_of(
    st.sampled_from([0, 1, 2, 3, 4, 15, 16, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF]),
    st.integers(0, 64), st.integers(0, 2**32 - 1),
)


class TestHostile:
    """The sanitizers judge; any status will do."""

    @FUZZ
    @given(
        name=st.sampled_from(sorted(BLOBS)),
        changes=st.lists(st.tuples(st.integers(4, 400), WORDS), min_size=1, max_size=4),
    )
    def test_words(self, load: Loader, name: str, changes: list[tuple[int, int]]) -> None:
        blob = bytearray(BLOBS[name])
        for at, value in changes:
            struct.pack_into("<I", blob, at * 4 % (len(blob) - 16) // 4 * 4 + 16, value)
        load.load(seal(bytes(blob)))

    @FUZZ
    @given(
        name=st.sampled_from(sorted(BLOBS)), flips=st.lists(st.integers(128, 2**15), max_size=8),
        cut=st.integers(0, 64),
    )
    def test_bits(self, load: Loader, name: str, flips: list[int], cut: int) -> None:
        blob = bytearray(BLOBS[name])
        for flip in flips:
            at = 16 + (flip // 8) % (len(blob) - 16)
            blob[at] ^= 1 << flip % 8
        load.load(seal(bytes(blob[: len(blob) - cut])))
