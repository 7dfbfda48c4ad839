"""Every form of data becomes the same feeds, and every misfit says what was expected and found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from ternc.diagnostics import CompileError
from ternc.feeds import Array, Data, InputSpec, input_specs, random_feeds, samples

IMAGE = InputSpec("image", (1, 2, 3), np.dtype(np.float32))
CODES = InputSpec("codes", (4,), np.dtype(np.int8))
N = 5
IMAGES = np.random.default_rng(0).standard_normal((N, 2, 3)).astype(np.float32)
CODE_ROWS = np.arange(4 * N, dtype=np.int8).reshape(N, 4)


def check(data: Data) -> None:
    found = list(samples(data, [IMAGE]))
    assert len(found) == N
    for feed, image in zip(found, IMAGES, strict=True):
        assert list(feed) == ["image"]
        assert feed["image"].shape == (1, 2, 3)
        assert feed["image"].dtype == np.float32
        np.testing.assert_array_equal(feed["image"][0], image)


def problem(data: Data, *inputs: InputSpec) -> str:
    with pytest.raises(CompileError) as caught:
        list(samples(data, inputs or [IMAGE]))
    return str(caught.value)


@pytest.mark.parametrize("images", [IMAGES, IMAGES[:, np.newaxis], IMAGES.astype(np.float64)])
def test_arrays_in_memory(images: Array) -> None:
    check(images)
    check({"image": images})
    check({"image": images, "labels": np.arange(N)})
    check(list(images))
    check({"image": image} for image in images)
    check([images[:2], images[2:]])


def test_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", IMAGES)
    np.savez(tmp_path / "x.npz", image=IMAGES, labels=np.arange(N))
    np.savez(tmp_path / "unnamed.npz", IMAGES)
    check(tmp_path / "x.npy")
    check(str(tmp_path / "x.npz"))
    check(tmp_path / "unnamed.npz")
    labels = samples(tmp_path / "x.npz", [IMAGE]).labels
    assert labels is not None
    assert labels.tolist() == [0, 1, 2, 3, 4]


def test_directories(tmp_path: Path) -> None:
    one = tmp_path / "npy"
    one.mkdir()
    for index, image in enumerate(IMAGES):
        np.save(one / f"{index}.npy", image)
    check(one)
    np.save(one / "labels.npy", np.arange(N))
    check(one)
    assert samples(one, [IMAGE]).count == N
    named = tmp_path / "named"
    named.mkdir()
    np.save(named / "image.npy", IMAGES)
    check(named)
    archives = tmp_path / "npz"
    archives.mkdir()
    for index, image in enumerate(IMAGES):
        np.savez(archives / f"{index}.npz", image=image, labels=index)
    check(archives)
    labels = samples(archives, [IMAGE]).labels
    assert labels is not None
    assert labels.tolist() == list(range(N))


def test_several_inputs_and_rereading() -> None:
    arrays: dict[str, Array] = {"codes": CODE_ROWS, "image": IMAGES}
    data = samples(arrays, [IMAGE, CODES])
    assert data.count == N
    for _ in range(2):
        feeds = list(data)
        assert [list(feed) for feed in feeds] == [["image", "codes"]] * N
        assert feeds[2]["codes"].tolist() == [8, 9, 10, 11]


def test_bytes_for_a_float_input_are_their_values() -> None:
    images = np.full((N, 2, 3), 200, np.uint8)
    assert next(iter(samples(images, [IMAGE])))["image"].max() == 200.0


def test_an_iterator_is_read_as_it_goes() -> None:
    read = []

    def source() -> Iterator[Array]:
        for index, image in enumerate(IMAGES):
            read.append(index)
            yield image

    iterator = iter(samples(source(), [IMAGE]))
    next(iterator)
    assert read == [0]


@pytest.mark.parametrize(("array", "shape"), [
    (np.zeros(3), (3,)), (np.zeros((7, 3)), (3,)), (np.zeros(7), (1,)), (np.zeros((7, 1)), (1,)),
    (np.zeros(7), ()), (np.zeros(()), ()),
])
def test_shapes_without_batch(array: Array, shape: tuple[int, ...]) -> None:
    feeds = list(samples(array, [InputSpec("x", shape, np.dtype(np.float32))]))
    assert len(feeds) == (array.shape[0] if array.ndim and array.shape != shape else 1)
    assert all(feed["x"].shape == shape for feed in feeds)


class TestMisfits:
    def test_shape(self) -> None:
        text = problem(np.zeros((N, 6)))
        assert "TC0301" in text
        assert "expected: (N, 1, 2, 3) or (N, 2, 3)" in text
        assert "found: (5, 6)" in text
        assert "reshape the data to (5, 1, 2, 3)" in text
        assert "transpose" in problem(np.zeros((N, 3, 2)))

    def test_names(self) -> None:
        misnamed: dict[str, Array] = {"picture": IMAGES, "labels": np.arange(N)}
        text = problem(misnamed)
        assert "expected: 'image'" in text
        assert "found: 'picture'" in text
        assert "2 inputs" in problem(IMAGES, IMAGE, CODES)

    def test_type(self) -> None:
        text = problem(CODE_ROWS.astype(np.float32), CODES)
        assert "expected: int8" in text
        assert "found: float32" in text
        assert "quantize the data" in text
        assert "-128 to 127" in problem(CODE_ROWS.astype(np.int64) + 120, CODES)
        assert "found: <U1" in problem(np.array([["a"] * 6] * N))

    @pytest.mark.parametrize(("bad", "text"), [
        (np.nan, "not a number"), (np.inf, "infinite"), (1e300, "infinite"),
    ])
    def test_values(self, bad: float, text: str) -> None:
        images = IMAGES.astype(np.float64)
        images[3, 1, 1] = bad
        message = problem(images)
        assert text in message
        assert "sample 3" in message

    def test_counts(self) -> None:
        uneven: dict[str, Array] = {"image": IMAGES, "codes": CODE_ROWS[:3]}
        text = problem(uneven, IMAGE, CODES)
        assert "'image': 5" in text
        assert "'codes': 3" in text
        labelled: dict[str, Array] = {"image": IMAGES, "labels": np.arange(4)}
        assert "'labels': 4" in problem(labelled)

    def test_nothing(self, tmp_path: Path) -> None:
        assert "no samples" in problem(IMAGES[:0])
        assert "no samples" in problem([])
        assert "no .npz or .npy" in problem(tmp_path)

    def test_unreadable(self, tmp_path: Path) -> None:
        assert "TC0001" in problem(tmp_path / "absent.npz")
        (tmp_path / "bad.npz").write_bytes(b"not a zip archive")
        assert "TC0001" in problem(tmp_path / "bad.npz")
        np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
        assert "TC0001" in problem(tmp_path / "pickle.npy")

    def test_pairs_from_a_data_loader(self) -> None:
        pairs = [(image, 0) for image in IMAGES]
        assert "without the labels" in problem(pairs)  # type: ignore[arg-type]

    def test_all_at_once(self) -> None:
        with pytest.raises(CompileError) as caught:
            samples({"image": np.zeros((N, 7)), "codes": np.zeros((N, 4))}, [IMAGE, CODES])
        assert [item.code for item in caught.value.diagnostics] == ["TC0301", "TC0301"]

    def test_a_file_of_a_directory_is_named(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", IMAGES)
        np.save(tmp_path / "b.npy", IMAGES[:, :1])
        assert "b.npy: the data for input 'image'" in problem(tmp_path)


def test_specs_of_a_model() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[batch, 3] a, uint8[2, 2] b, bool c, float[3] w) => (float[batch, 3] y)
        <float[3] w = {1, 2, 3}> { y = Add(a, w) }""")
    specs = input_specs(model)
    assert [(s.name, s.shape, s.dtype.name) for s in specs] == [
        ("a", (1, 3), "float32"), ("b", (2, 2), "uint8"), ("c", (), "bool"),
    ]
    dynamic = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[n, width] a) => (float[n, width] y) { y = Relu(a) }""")
    with pytest.raises(CompileError, match=r"TC0103.*'a'"):
        input_specs(dynamic)


def test_random_feeds_are_seeded() -> None:
    specs = [
        IMAGE, InputSpec("big", (1000,), np.dtype(np.int8)),
        InputSpec("wide", (9,), np.dtype(np.uint64)), InputSpec("flag", (), np.dtype(np.bool_)),
    ]
    one, two = list(random_feeds(specs, 3, seed=4)), list(random_feeds(specs, 3, seed=4))
    other = list(random_feeds(specs, 3, seed=5))
    assert len(one) == 3
    for first, second, third in zip(one, two, other, strict=True):
        for spec in specs:
            assert first[spec.name].shape == spec.shape
            assert first[spec.name].dtype == spec.dtype
            np.testing.assert_array_equal(first[spec.name], second[spec.name])
        assert not np.array_equal(first["image"], third["image"])
    assert {one[0]["big"].min(), one[0]["big"].max()} == {-128, 127}
