"""Tests of the readable Numba kernels, which `test_cuda_readable` runs: in Numba's simulator, or on a GPU.

Elements are small whole numbers, of which sums in any order are exact, so results must be equal to the definition's.
"""

import os

import numpy as np
import pytest
from nnscratch.kernels.conv import definition
from nnscratch.kernels.cuda import readable, runtime

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
DTYPES = "float32", "float64"


def draw(*shape, dtype="float64"):
    return np.random.default_rng(len(shape)).integers(-4, 5, shape).astype(dtype)


def there(array):
    """An array where the kernels want it, with the strides that it has here."""
    if SIMULATED:
        return array
    xp = runtime.xp()
    base = array
    while base.base is not None:
        base = base.base
    start = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    flat = xp.asarray(base.ravel("K"))
    return xp.ndarray(array.shape, array.dtype, flat.data + start, array.strides)


def here(array):
    return array if SIMULATED else array.get()


def multiplied(a, b, kernel):
    y = here(readable.matmul(there(a), there(b), kernel))
    assert y.dtype == a.dtype
    np.testing.assert_array_equal(y, np.einsum("mk,kn->mn", a, b))


def convolved(x, weight, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    y = here(readable.conv2d(there(x), there(weight), kernel, stride, padding, dilation))
    assert y.dtype == x.dtype
    expected = definition.conv2d(x, weight, None, stride, tuple((n, n) for n in padding), dilation, 1)
    np.testing.assert_array_equal(y, expected)


PRODUCTS = pytest.mark.parametrize("kernel", readable.KERNELS["matmul"])
CONVOLUTIONS = pytest.mark.parametrize("kernel", readable.KERNELS["conv2d"])


@PRODUCTS
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 1), (16, 8, 16), (17, 33, 18), (2, 16, 35)], ids=str)
def test_products_of_any_size(kernel, shape):
    m, k, n = shape
    multiplied(draw(m, k), draw(k, n), kernel)


@pytest.mark.parametrize("shape", [(128, 8, 128), (129, 9, 3), (5, 7, 130)], ids=str)
def test_products_beyond_one_block(shape):
    m, k, n = shape
    multiplied(draw(m, k, dtype="float32"), draw(k, n, dtype="float32"), "blocked")


@PRODUCTS
@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (3, 2, 0)], ids=str)
def test_empty_products(kernel, shape):
    m, k, n = shape
    multiplied(draw(m, k), draw(k, n), kernel)


@PRODUCTS
def test_products_of_arrays_that_are_not_in_order(kernel):
    a, b = draw(7, 10), draw(5, 10)
    multiplied(a[::-1, ::2], b.T[::2], kernel)
    multiplied(np.broadcast_to(draw(5), (3, 5)), b.T[5:], kernel)


@PRODUCTS
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_are_summed_in_their_own_type(kernel, dtype):
    a, b = draw(2, 3, dtype=dtype), draw(3, 2, dtype=dtype)
    multiplied(a, b, kernel)
    tiny = there(np.array([[1.0, np.finfo(dtype).eps / 4, -1.0]], dtype))
    assert here(readable.matmul(tiny, there(np.ones((3, 1), dtype)), kernel)) == 0


@PRODUCTS
def test_a_nan_stays_in_its_row(kernel):
    a = draw(18, 3)
    a[17, 2] = np.nan
    y = here(readable.matmul(there(a), there(draw(3, 17)), kernel))
    assert np.isnan(y[17]).all() and np.isfinite(y[:17]).all()


@CONVOLUTIONS
@pytest.mark.parametrize(
    ("x", "weight", "settings"),
    [
        ((1, 1, 1, 1), (1, 1, 1, 1), {}),
        ((2, 3, 5, 4), (2, 3, 3, 2), {}),
        ((1, 2, 18, 17), (3, 2, 2, 2), {}),
        ((1, 1, 6, 7), (9, 1, 3, 3), {"padding": (1, 2)}),
        ((2, 2, 20, 7), (1, 2, 3, 3), {"stride": (1, 3), "padding": (1, 0)}),
        ((1, 2, 9, 9), (2, 2, 3, 2), {"dilation": (2, 3), "stride": (2, 1), "padding": (3, 1)}),
        ((1, 1, 2, 2), (1, 1, 4, 4), {"padding": (1, 1)}),
    ],
)
def test_convolutions(kernel, x, weight, settings):
    convolved(draw(*x, dtype="float32"), draw(*weight, dtype="float32"), kernel, **settings)


@CONVOLUTIONS
@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0)], ids=str)
def test_empty_convolutions(kernel, sizes):
    n, c, o = sizes
    convolved(draw(n, c, 3, 3), draw(o, c, 2, 2), kernel)


@CONVOLUTIONS
def test_convolutions_of_arrays_that_are_not_in_order(kernel):
    x, weight = draw(5, 6, 2, 2), draw(2, 2, 3, 3)
    convolved(x.transpose(2, 3, 0, 1)[:, :, ::-1, ::2], weight.swapaxes(0, 1)[..., ::-1], kernel)


def test_a_number_counts_for_both_axes():
    x, weight = draw(1, 1, 5, 6), draw(1, 1, 2, 2)
    both = [here(readable.conv2d(there(x), there(weight), stride=s, padding=p)) for s, p in ((2, 1), ((2, 2), (1, 1)))]
    np.testing.assert_array_equal(*both)


def test_what_does_not_fit_the_tile_is_said():
    x, weight = there(draw(1, 1, 12, 12)), there(draw(1, 1, 12, 12))
    with pytest.raises(ValueError, match=r"has room for 128 elements .* here are 144 and .*kernel=\"direct\""):
        readable.conv2d(x, weight, "tiled")
    with pytest.raises(ValueError, match="here are 4 and a part of the image of 119072 bytes"):
        readable.conv2d(x, there(draw(1, 1, 2, 2)), "tiled", stride=8, padding=10)


def test_arrays_of_elsewhere_are_refused():
    elsewhere = type("ndarray", (), {"ndim": 2, "shape": (2, 2), "dtype": np.dtype("float32")})()
    a = elsewhere if SIMULATED else draw(2, 2, dtype="float32")
    with pytest.raises(ValueError, match="asnumpy" if SIMULATED else "asarray"):
        readable.matmul(a, a)
