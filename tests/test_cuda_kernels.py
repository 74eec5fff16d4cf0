"""The CUDA C++ kernels, run by the emulator, through the tests of the CPU's kernels and some of their own.

A kernel for the GPU must do what its namesake for the CPU does, so the CPU's tests are taken over: each test file is loaded
once more with the module that it tests exchanged for one whose functions move arrays to the device and results back. All
runs forwards and backwards (tests/cuda_emulator says what that shows); on a real GPU where there is one.
"""

import contextlib
import doctest
import functools
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from unittest import mock

import hypothesis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnscratch.kernels.activation import cuda as activation
from nnscratch.kernels.conv import cuda as conv
from nnscratch.kernels.conv import definition
from nnscratch.kernels.cuda import cublas, runtime
from nnscratch.kernels.dropout import cuda as dropout
from nnscratch.kernels.loss import cuda as loss
from nnscratch.kernels.matmul import cuda as matmul
from nnscratch.kernels.matmul.definition import rounded
from nnscratch.kernels.normalise import cuda as normalise
from nnscratch.kernels.normalise import layout
from nnscratch.kernels.pool import cuda as pool
from nnscratch.kernels.scatter import cuda as scatter
from nnscratch.kernels.softmax import cuda as softmax
from nnscratch.kernels.steps import cuda as steps

sys.path.insert(0, str(Path(__file__).parents[1]))
emulator = importlib.import_module("tests.cuda_emulator")
variants = importlib.import_module("tests.cuda_emulator.variants")
standin = importlib.import_module("tests.standin")

#: Of the examples that hypothesis draws for a test of the CPU's kernels so many are enough here.
EXAMPLES = 40
FLOATS = [np.float16, np.float32, np.float64]


def _real():
    """CuPy, where it has a GPU; else None."""
    with contextlib.suppress(Exception):
        cupy = importlib.import_module("cupy")
        if cupy is not standin and cupy.cuda.is_available():
            return cupy
    return None


@pytest.fixture(params=["forwards", "backwards", "gpu"], scope="module", autouse=True)
def device(request):
    """The module in which the kernels find their arrays."""
    if request.param == "gpu":
        if not _real():
            pytest.skip("needs an NVIDIA GPU and CuPy; the emulator ran the same test")
        yield _real()
        return
    if not emulator.compiler():
        pytest.skip("the emulator of CUDA needs g++ 12 or later on Linux")
    before = sys.modules.get("cupy")
    sys.modules["cupy"] = standin
    runtime.forget()
    try:
        with emulator.backwards() if request.param == "backwards" else contextlib.nullcontext():
            yield standin
    finally:
        runtime.forget()
        del sys.modules["cupy"]
        if before:
            sys.modules["cupy"] = before


@pytest.fixture(autouse=True)
def _listed(monkeypatch):
    """Whatever is launched was compiled for GPUs, too, by tests/test_cuda_nvrtc.py."""

    def launch(source, kernel, grid, block, args, shared=0, **constants):
        assert constants in variants.VARIANTS[source], (
            f"{source}: {constants} is not in tests/cuda_emulator/variants.py"
        )
        real(source, kernel, grid, block, args, shared, **constants)

    real = runtime.launch
    monkeypatch.setattr(runtime, "launch", launch)


def to_device(value):
    """NumPy arrays, and those in lists and tuples, as arrays of the device; all else as it is."""
    if isinstance(value, np.ndarray):
        return runtime.xp().asarray(value)
    return type(value)(map(to_device, value)) if type(value) in (list, tuple) else value


def to_host(value):
    """The device's arrays as NumPy's."""
    if isinstance(value, tuple):
        return tuple(map(to_host, value))
    return runtime.xp().asnumpy(value) if hasattr(value, "get") else value


def copy_back(arrays, moved):
    """Give NumPy arrays, and those in lists and tuples, the values that their copies on the device now have."""
    for a, b in zip(arrays, moved, strict=True):
        if type(a) in (list, tuple):
            copy_back(a, b)
        elif isinstance(a, np.ndarray) and a.flags.writeable:
            a[...] = to_host(b)


class OnDevice:
    """A module of kernels, called with NumPy arrays; those that it writes into are copied back."""

    def __init__(self, module):
        self.module = module

    def __getattr__(self, name):
        kernel = getattr(self.module, name)

        @functools.wraps(kernel)
        def call(*args, **named):
            moved = [to_device(a) for a in args]
            result = to_host(kernel(*moved, **{k: to_device(v) for k, v in named.items()}))
            copy_back(args, moved)
            return result

        return call


def adopt(file, leave_out, **modules):
    """Take over a file's tests, with the modules that it tests exchanged."""

    def fewer(max_examples, **named):
        return settings(max_examples=min(max_examples, EXAMPLES), **named)

    spec = importlib.util.spec_from_file_location(f"{file}_on_device", Path(__file__).with_name(f"{file}.py"))
    tests = importlib.util.module_from_spec(spec)
    with mock.patch.object(hypothesis, "settings", fewer):
        spec.loader.exec_module(tests)
    for name, module in modules.items():
        setattr(tests, name, OnDevice(module))
    for name, test in vars(tests).items():
        if name.startswith("test_") and name not in leave_out:
            globals()[f"test_{next(iter(modules))}_{name[5:]}"] = test
    return tests


DOCTESTS = "test_examples_in_the_documentation"
adopt(
    "test_kernels_accuracy",
    [
        DOCTESTS,
        "test_sums_that_cancel_beyond_double_double",  # is promised on the CPU only
        "test_the_long_exponential",
        # of the CPU's loops
        "test_compiled_rows_and_columns_anywhere",
        "test_compiled_rows_are_the_definitions",
        "test_compiled_losses_of_what_is_not_finite",
        "test_compiled_gradients",
        "test_error_free_arithmetic",
        "test_exact_sums_lose_nothing",
        "test_the_fast_kernels_do_what_the_definitions_say",
    ],
    activation=activation,
    softmax=softmax,
    loss=loss,
)
adopt("test_kernels_loss", [], loss=loss, softmax=softmax)
adopt(
    "test_kernels_pool",
    [DOCTESTS, "test_the_definitions_take_one_window_after_the_other", "test_counts_leave_padding_out"],
    pool=pool,
)
convolutions = adopt(
    "test_kernels_conv",
    [
        DOCTESTS,
        "test_agrees_with_the_definition_and_transposes_agree",  # sets the size of the CPU's blocks; its like is below
        "test_keeps_dtype_and_inputs",  # with im2col
        "test_im2col_times_the_weights_is_the_convolution",
        "test_half_precision_is_rounded_once",  # from the CPU's own sums in float32
        "test_output_size_counts_windows",
        "test_the_definition_is_the_sum_over_each_window",
    ],
    conv=conv,
)
normalisations = adopt(
    "test_kernels_normalise",
    [
        "test_which_layouts_the_loops_take",
        "test_any_number_of_threads_gives_the_same_bits",
        "test_the_size_alone_decides",
        "test_first_and_second_derivatives_of_the_loops",  # of the operations
        "test_large_arrays_follow_small_ones",
        "test_running_statistics_of_large_batches",
    ],
    normalise=normalise,
)
adopt("test_kernels_steps", [DOCTESTS, "test_the_definitions_are_those_formulas"], steps=steps)


@pytest.mark.parametrize("module", [dropout, layout], ids=lambda m: m.__name__)
def test_examples_in_the_documentation(module):
    result = doctest.testmod(module)
    assert result.attempted and not result.failed


# Barriers


def _long_sums(state):
    x = state.standard_normal((3, 2000))
    return OnDevice(loss).accurate_sum(x, 1), x.sum(1)


def _convolution(state):
    x, w, bias, _, geometry = convolutions.arrays((2, 40, (6, 5), 9, (3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1))
    return OnDevice(conv).conv2d(x, w, bias, *geometry), definition.conv2d(x, w, bias, *geometry)


def _weight_of_a_convolution(state):
    x, _, _, g, geometry = convolutions.arrays((9, 5, (6, 5), 9, (3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1))
    return OnDevice(conv).conv2d_weight(g, x, (3, 2), *geometry), definition.conv2d_weight(g, x, (3, 2), *geometry)


def _columns(state):
    x = state.standard_normal((500, 40))
    return OnDevice(normalise).standardize(x, (0,), 0.0)[0], (x - x.mean(0)) / x.std(0)


def _bias(state):
    d = state.standard_normal((500, 40))
    return to_host(matmul.channel_sums(to_device(d), d.ndim - 1)), d.sum(0)


@pytest.mark.parametrize(
    ("source", "compute", "barriers"),
    [
        ("rows.cu", _long_sums, range(2)),
        ("conv.cu", _convolution, range(2, 4)),
        ("conv.cu", _weight_of_a_convolution, range(4, 7)),
        ("normalise.cu", _columns, range(2, 4)),
        ("matmul.cu", _bias, range(1)),
    ],
)
def test_every_barrier_is_needed(source, compute, barriers, device, monkeypatch):
    """Without any one of them a result is wrong, forwards or backwards: so the emulator would find it missing."""
    if device is not standin:
        pytest.skip("takes barriers out of the sources, which the emulator alone bears")

    def right():
        with np.errstate(invalid="ignore"):
            results = []
            for back in (False, True):
                with emulator.backwards(back):
                    results.append(np.allclose(*compute(np.random.default_rng(0)), rtol=1e-10, atol=1e-10))
        return all(results)

    assert right()
    code = runtime.text(source)
    places = [m.span() for m in re.finditer(r"__syncthreads\(\);", code)]
    for i in barriers:
        begin, end = places[i]
        without = code[:begin] + code[end:]
        with monkeypatch.context() as patch:
            patch.setattr(runtime, "text", lambda _, without=without: without)
            runtime.forget()
            assert not right(), f"{source}: the barrier in line {code[:begin].count(chr(10)) + 1} makes no difference"
    runtime.forget()


# Convolution

TILES = [*conv.TILES, conv.NARROW]


@given(convolutions.layers(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_convolutions_agree_with_the_definition(layer, seed):
    x, w, bias, g, geometry = convolutions.arrays(layer, seed=seed)
    compare(x, w, bias, g, geometry, 1e-12)


def compare(x, w, bias, g, geometry, limit):
    """All three against their definitions in float64, within `limit` of the sums of their terms' sizes."""
    size, kernel = x.shape[2:], w.shape[2:]
    wide = [a.astype(float) for a in (x, w, bias, g)]
    sizes = list(map(abs, wide))
    on_device = OnDevice(conv)
    for computed, exact, total in [
        (
            on_device.conv2d(x, w, bias, *geometry),
            *(definition.conv2d(a, b, c, *geometry) for a, b, c, _ in (wide, sizes)),
        ),
        (
            on_device.conv2d_input(g, w, size, *geometry),
            *(definition.conv2d_input(d, b, size, *geometry) for _, b, _, d in (wide, sizes)),
        ),
        (
            on_device.conv2d_weight(g, x, kernel, *geometry),
            *(definition.conv2d_weight(d, a, kernel, *geometry) for a, _, _, d in (wide, sizes)),
        ),
    ]:
        assert computed.dtype == x.dtype and computed.shape == exact.shape
        bound = limit * total
        if x.dtype == np.float16:
            bound = bound + np.spacing(abs(exact).astype(np.float16)).astype(float)
        assert (abs(computed - exact) <= bound).all(), abs(computed - exact).max()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("channels", [3, 16, 19])
def test_each_tile_of_a_convolution(dtype, tile, channels, monkeypatch):
    """Ragged in every way: outputs, positions and terms that no tile divides, taps on the edges, phases."""
    if tile in conv.TILES[:2] and (dtype == np.float64 or channels < conv.FEW_CHANNELS):
        pytest.skip("not among the tiles for these numbers")
    monkeypatch.setattr(conv, "_tile", lambda *a: tile)
    monkeypatch.setattr(conv, "SHARE", 16)
    limit = {np.float16: 2e-6, np.float32: 1e-6, np.float64: 1e-14}[dtype]
    for layer in [
        (2, channels, (9, 8), 7 + tile[0] // 2, (3, 2), (1, 1), ((1, 1), (1, 0)), (1, 1), 1),
        (3, 2 * channels, (7, 6), 36, (3, 3), (2, 1), ((1, 2), (0, 2)), (1, 2), 2),
    ]:
        compare(*convolutions.arrays(layer, dtype), limit)


@pytest.mark.parametrize("channels", [1, 5])
def test_depthwise_convolutions(channels):
    for dtype, limit in ((np.float32, 1e-6), (np.float64, 1e-14)):
        layer = (2, channels, (9, 8), 2 * channels, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), channels)
        compare(*convolutions.arrays(layer, dtype), limit)


def test_a_large_convolution_by_one_is_a_product():
    layer = (2, 6, (conv.POINTWISE // 8, 8), 4, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 2)
    compare(*convolutions.arrays(layer, np.float32), 1e-6)


def test_tiles_follow_the_size_of_the_product():
    single, double = np.dtype(np.float32), np.dtype(np.float64)
    assert conv._tile(single, 512, 64 * 56 * 56) == (128, 128, 8, 8)
    assert conv._tile(single, 64, 64 * 56 * 56) == (64, 128, 8, 8)
    assert conv._tile(single, 512, 64 * 7 * 7) == (64, 64, 8, 4)
    assert conv._tile(single, 32, 64 * 56 * 56) == conv.NARROW
    assert conv._tile(double, 512, 64 * 56 * 56) == (64, 64, 8, 4)


# Normalisation


@pytest.fixture
def small_arrays_too():
    """What the taken-over tests ask for; these kernels take arrays of all sizes."""


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", normalisations.LAYOUTS)
@pytest.mark.parametrize("centred", [True, False])
def test_sets_in_many_parts(dtype, layout, centred, monkeypatch):
    """Parts of a few elements, and long rows, of which real ones would be too large for the emulator."""
    part = 512 if layout == "more than a piece" else 8
    for name, value in {"PART": part, "ROWS": 2, "LONG": 16, "SHORT": 4}.items():
        monkeypatch.setattr(normalise, name, value)
    x, d, axes, eps, weight, bias = normalisations.drawn(layout, dtype)
    wide = [a.astype(float) for a in (x, d, weight, bias)]
    expected = normalisations.definition(*wide[:2], axes, eps, *wide[2:], centred)
    results = normalisations.computed(x, d, axes, eps, weight, bias, centred)
    for a, b in zip(results[:3], expected[:3], strict=True):
        assert a.dtype == dtype
        normalisations.close(a, b, np.abs(b).max() + np.sqrt(x.size))
    for a, b in zip(results[3:], expected[3:], strict=True):
        normalisations.close(a, b, np.abs(b).max())


def test_rows_of_each_team(monkeypatch):
    x = np.random.default_rng(0).standard_normal((5, 300))
    for short in (normalise.SHORT, 100):
        monkeypatch.setattr(normalise, "SHORT", short)
        y = OnDevice(normalise).standardize(x, (1,), 0.0)[0]
        np.testing.assert_allclose(y, (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True), rtol=1e-13)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_normalising_nothing(shape):
    x, on_device = np.zeros(shape, np.float32), OnDevice(normalise)
    y, *moments = on_device.standardize(x, (1,), 0.1)
    assert y.shape == on_device.standardize_input(x, x, *moments, (1,), 0.1).shape == shape
    np.testing.assert_array_equal(
        on_device.standardize_weight(x, x, *moments, (shape[1],), (1,), 0.1), np.zeros(shape[1])
    )
    assert [m.shape for m in moments] == [(shape[0], 1)] * 2


# Steps of all parameters


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_descent_of_all_parameters_is_that_of_each(dtype, momentum):
    sizes, state = [1, 5, steps.CHUNK, 3 * steps.CHUNK + 7, 0, 31], np.random.default_rng(0)
    p, g, v = ([to_device(state.standard_normal(n).astype(dtype)) for n in sizes] for _ in range(3))
    one = [a.copy() for a in p], [a.copy() for a in v]
    for _ in range(2):
        steps.sgd(list(zip(p, g, v if momentum else [None] * 6, strict=True)), 0.1, momentum, True, 0.01)
        for a, b, c in zip(one[0], g, one[1], strict=True):
            steps.sgd([(a, b, c if momentum else None)], 0.1, momentum, True, 0.01)
    for a, b in zip([*p, *v], [*one[0], *one[1]], strict=True):
        np.testing.assert_array_equal(to_host(a), to_host(b))


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_of_all_parameters_is_that_of_each(decoupled):
    state = np.random.default_rng(0)
    shapes = [(3, 4), (steps.CHUNK + 1,), (1,)] * 2
    arrays = [
        [
            to_device(abs(state.standard_normal(s)).astype(d))
            for s, d in zip(shapes, [np.float32, np.float64] * 3, strict=True)
        ]
        for _ in range(4)
    ]
    arrays[0][0] = to_device(np.ones((4, 3), np.float32)).T  # not contiguous
    one = [[a.copy() for a in column] for column in arrays]
    for step in (1, 2):
        scalars = 0.1, 0.9, 0.99, 1e-8, step, True, 0.01, decoupled
        steps.adam(list(zip(*arrays, strict=True)), *scalars)
        for row in zip(*one, strict=True):
            steps.adam([row], *scalars)
    for a, b in zip(
        [*arrays[0], *arrays[1], *arrays[2], *arrays[3]], [*one[0], *one[1], *one[2], *one[3]], strict=True
    ):
        np.testing.assert_array_equal(to_host(a), to_host(b))


# Random numbers


@pytest.mark.parametrize(
    ("seed", "counter", "high", "expected"),
    [  # the known answers that the authors of Philox publish
        (0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**64 - 1, 2**64 - 1, 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (0x299F31D0A4093822, 0x85A308D3243F6A88, 0x0370734413198A2E, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_the_known_answers(seed, counter, high, expected):
    assert " ".join(f"{int(w):08x}" for w in to_host(dropout.words(4, seed, counter, high))) == expected


def test_random_words_depend_on_their_place_alone():
    whole = to_host(dropout.words(1003, 7))
    np.testing.assert_array_equal(whole[:10], to_host(dropout.words(10, 7)))
    np.testing.assert_array_equal(whole[40:], to_host(dropout.words(963, 7, offset=10)))
    assert (whole != to_host(dropout.words(1003, 8))).mean() > 0.99


@pytest.mark.parametrize("dtype", FLOATS)
def test_masks_of_dropout(dtype):
    p = 0.3
    mask = to_host(dropout.mask((100, 101), dtype, p, seed=3))
    kept = mask != 0
    assert mask.dtype == dtype and set(np.unique(mask)) == {0, dtype(1 / (1 - p))}
    assert abs(kept.mean() - (1 - p)) < 4 * (p * (1 - p) / mask.size) ** 0.5
    np.testing.assert_array_equal(mask, to_host(dropout.mask((100, 101), dtype, p, seed=3)))
    assert 0.5 < (kept == (to_host(dropout.mask((100, 101), dtype, p, 3, dropout.used(mask.shape))) != 0)).mean() < 0.65
    assert (to_host(dropout.mask((5,), dtype, 0.0, 1)) == 1).all()


# Sums by index


def _summed(x, shape, index):
    out = np.zeros(shape, np.longdouble)
    np.add.at(out, index, x.astype(np.longdouble))
    return out


@pytest.mark.parametrize("dtype", [*FLOATS, np.int64])
@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000, 9000])
@pytest.mark.parametrize("count", [1, 2, 50, 4000])
def test_rows_are_added_into_their_places(dtype, n, count):
    state = np.random.default_rng(n)
    width = 3 if n < 9000 else 1
    x, places = (8 * state.standard_normal((n, width))).astype(dtype), state.integers(-count, count, n)
    places[n // 3 : n // 2] = places[0]  # many of one
    out = to_host(scatter.add_rows(*to_device([x, places]), count))
    exact, size = _summed(x, (count, width), places), _summed(abs(x), (count, width), places)
    assert out.dtype == dtype
    limit = 0 if dtype == np.int64 else float(np.finfo(dtype).eps)
    assert (abs(out - exact) <= limit * (10 * size if dtype != np.float16 else size + 1e-3 * size)).all()


@pytest.mark.parametrize(
    ("shape", "index"),
    [
        ((5, 2), np.array([[0, 4, 4], [-1, 0, 2]])),
        ((5, 2), [0, 4, 4]),
        ((4, 5), (slice(1, 3), slice(None, None, 2))),
        ((4, 5), (Ellipsis, None, -1)),
        ((4, 5), (np.array([0, 0, 3]), np.array([1, 1, 4]))),
        ((2, 3), np.array([[True, False, True], [False, True, True]])),
        ((4, 3, 2), (slice(None), np.array([0, 2, 2]))),
        ((4,), 2),
        ((4, 0), np.array([1, 1])),
        ((4, 2), np.zeros(0, int)),
    ],
)
def test_put_add_is_numpys(shape, index):
    x = np.random.default_rng(0).standard_normal(np.zeros(shape)[index].shape)
    out = to_host(
        scatter.put_add(
            to_device(x), shape, tuple(map(to_device, index)) if isinstance(index, tuple) else to_device(index)
        )
    )
    np.testing.assert_allclose(out, _summed(x, shape, index).astype(float), rtol=1e-14, atol=1e-14)


# Matrix products


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", matmul.ACTIVATIONS)
@pytest.mark.parametrize("shape", [(5, 4), (4,), (2, 3, 4), (0, 4)])
def test_linear_with_bias_and_activation(dtype, activation, shape):
    state = np.random.default_rng(0)
    x, w, b = (state.standard_normal(s).astype(dtype) for s in (shape, (3, 4), (3,)))
    functions = {
        None: lambda z: z,
        "relu": lambda z: np.maximum(z, 0),
        "tanh": np.tanh,
    }
    for bias in (b, None):
        y = to_host(matmul.linear(*to_device([x, w]), None if bias is None else to_device(bias), activation))
        wide = functions[activation](x.astype(float) @ w.T.astype(float) + (0 if bias is None else bias.astype(float)))
        assert y.dtype == dtype
        np.testing.assert_allclose(y, wide, rtol=20 * np.finfo(dtype).eps, atol=10 * np.finfo(dtype).eps)


def test_a_bias_of_another_type_is_promoted():
    x, w, b = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32), np.full(4, 1e-9)
    y = to_host(matmul.linear(*to_device([x, w, b])))
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, np.full((2, 4), 3 + 1e-9))
    y = to_host(matmul.linear(*to_device([x.astype(int), w.astype(int), np.arange(4)])))
    np.testing.assert_array_equal(y, 3 + np.arange(4) * np.ones((2, 1), int))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1, 1), (0, 3), (300, 33), (2, 5000, 3)])
def test_gradient_by_a_bias(dtype, shape):
    d = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    exact = d.astype(float).sum(axis=tuple(range(d.ndim - 1)))
    out = to_host(matmul.channel_sums(to_device(d), d.ndim - 1))
    assert out.dtype == dtype
    np.testing.assert_allclose(out, exact, rtol=np.finfo(dtype).eps, atol=1e-12)


def test_rounding_to_bfloat16(device):
    """Against the nearest of all bfloat16 numbers, which float64 holds without loss."""
    bits = np.arange(0x7F81, dtype=np.uint32)  # all from 0 to infinity
    whole = (bits << 16).view(np.float32)
    middle = (((bits[:-1] << 16) + 0x8000).view(np.float32), bits[:-1] + bits[:-1] % 2)  # a tie goes to the even one
    below, above = (np.nextafter(middle[0], np.float32(to)) for to in (-np.inf, np.inf))
    x = np.concatenate([whole, middle[0], below, above])
    expected = np.concatenate([bits, middle[1], bits[:-1], bits[1:]])
    for sign, numbers in ((0, x), (0x8000, -x)):
        out = to_host(cublas.rounded(to_device(numbers), "bfloat16"))
        np.testing.assert_array_equal(out, expected + sign)
    out = to_host(cublas.rounded(to_device(np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)), "bfloat16"))
    assert np.isnan((out.astype(np.uint32) << 16).view(np.float32)).all()


@pytest.mark.parametrize("precision", cublas.NAMES)
def test_rounding_keeps_the_layout(precision):
    """And the reference rounds as cuBLAS's operands are rounded."""
    x = np.random.default_rng(0).standard_normal((4, 5, 6)).astype(np.float32)
    for make in (
        lambda a: a,
        lambda a: a.swapaxes(1, 2),
        lambda a: a[:, 1:, ::2],
        lambda a: a[1, 1],
        lambda a: a[0, :, 2],
    ):
        out = cublas.rounded(make(to_device(x)), precision)
        assert out.flags.c_contiguous or out.swapaxes(-1, -2).flags.c_contiguous
        kept = to_host(out)
        wide = (kept.astype(np.uint32) << 16).view(np.float32) if precision == "bfloat16" else kept.astype(np.float32)
        wide = rounded(wide, precision) if precision == "tf32" else wide
        np.testing.assert_array_equal(wide, rounded(make(x), precision))
