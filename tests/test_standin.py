"""The stand-in for CuPy is as strict as CuPy: by itself, and where CuPy is installed (a GPU is not needed) against that."""

import importlib
import inspect

import numpy as np
import pytest

from tests import standin
from tests.standin import lacking

X = np.arange(6.0).reshape(2, 3)

REFUSED = {
    "NumPy's arrays in operators": lambda x: x + X,
    "NumPy's arrays before operators": lambda x: X * x,
    "NumPy's arrays in functions": lambda x: np.add(x, X),
    "NumPy's arrays in sequences": lambda x: np.concatenate([x, X]),
    "NumPy's arrays of no axes": lambda x: x * np.array(2.0),
    "NumPy's arrays as values": lambda x: x.__setitem__(0, X[0]),
    "results in NumPy's arrays": lambda x: np.add(x, 1, out=X.copy()),
    "NumPy's arrays changed in place": lambda x: X.copy().__iadd__(x),
    "implicit conversion": lambda x: np.asarray(x),
    "implicit copies": lambda x: np.array(x),
    "functions that CuPy lacks": lambda x: np.insert(x, 0, 1),
    "keywords that CuPy lacks": lambda x: np.max(x, initial=0),
    "methods' keywords that CuPy lacks": lambda x: x.sum(where=True),
    "keywords of sorting that CuPy lacks": lambda x: np.argsort(x, stable=True),
    "methods of ufuncs": lambda x: np.add.at(x, 0, 1),
    "indexing by its numbers": lambda x: [1, 2][x[0, 0].astype(int)],
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_refuses_what_cupy_refuses(what):
    with pytest.raises(TypeError):
        REFUSED[what](standin.asarray(X))


def test_numpys_functions_and_operators_give_its_own_arrays():
    x = standin.asarray(X)
    for y in (
        x + 1,
        2 - x,
        np.float64(2) * x,
        np.exp(x),
        np.sum(x),
        np.max(x, axis=0),
        x.mean(),
        x[0, 0],
        x.T,
        np.where(x > 2, x, 0),
    ):
        assert type(y) is standin.ndarray
    assert np.shape(x) == (2, 3) and np.ndim(x) == 2 and np.result_type(x, np.float32) == np.float64
    assert x.get().tolist() == X.tolist() and float(x[1, 2]) == 5 and bool(x[0, 1])


def test_views_know_their_source_and_copies_have_none():
    x = standin.asarray(X)
    for view in (x.T, x[0], x.reshape(-1), np.broadcast_to(x, (2, 2, 3)), x[0][1:]):
        assert view.base is x
    for copy in (x.copy(), x + 0, x[[0, 1]], np.concatenate([x, x]), standin.array(x)):
        assert copy.base is None
    x[0][:] = 7
    assert x.get()[0].tolist() == [7, 7, 7]


def test_an_empty_shape_is_none_to_functions_like_zeros_like():
    x = standin.asarray(X)
    for make in (np.zeros_like, np.ones_like, np.empty_like):
        assert make(x, shape=()).shape == (2, 3) and make(x, shape=(4,)).shape == (4,)
    assert np.full_like(x, 1, shape=()).shape == (2, 3)


def test_it_does_the_worst_that_cupy_may_do_with_indices():
    x = standin.asarray(np.arange(3.0))
    assert x[[0, 5]].get().tolist() == [0, 2]
    x[[1, 1]] = standin.asarray(np.array([8.0, 9.0]))
    assert x.get().tolist() == [0, 8, 2]
    x[[1, 1]] += 1
    assert x.get().tolist() == [0, 9, 2]


def cupy():
    """CuPy itself, where it is installed."""
    module = pytest.importorskip("cupy", reason="holds the stand-in against CuPy where that is installed, GPU or not")
    return module


def test_cupy_lacks_the_functions_that_the_table_says():
    real = cupy()
    missing = {
        name
        for name in dir(np)
        if not name.startswith("_") and callable(getattr(np, name)) and not isinstance(getattr(np, name), type)
        and not hasattr(real, name)
    }  # fmt: skip
    assert missing <= lacking.FUNCTIONS
    assert not [name for name in lacking.FUNCTIONS if hasattr(real, name) and not isinstance(getattr(np, name), type)]


def test_cupy_lacks_the_keywords_that_the_table_says():
    real = cupy()
    for name, keywords in lacking.KEYWORDS.items():
        parameters = inspect.signature(getattr(real, name)).parameters
        assert not set(keywords) & set(parameters), name


def test_cupys_arrays_have_the_methods_that_the_stand_ins_have():
    real = cupy()
    own = [n for n in vars(standin.ndarray) if not n.startswith("_")]
    assert [n for n in own if not hasattr(real.ndarray, n)] == []


def test_cupys_modules_have_what_the_stand_ins_have():
    real = cupy()
    for name in ("cuda", "cuda.runtime", "cuda.nvrtc"):
        ours = importlib.import_module(f"tests.standin.{name.removeprefix('cuda.')}")
        theirs = real
        for part in name.split("."):
            theirs = getattr(theirs, part)
        used = [
            n for n, v in vars(ours).items()
            if n[0] != "_" and (inspect.isfunction(v) or inspect.isclass(v)) and v.__module__ == ours.__name__
        ]  # fmt: skip
        assert used and [n for n in used if not hasattr(theirs, n)] == [], name


# cuBLAS, which has its own idea of a matrix

CUBLAS = standin.cuda.cublas
ONE, ZERO = np.ones(1, np.float32), np.zeros(1, np.float32)


def gemm(a, b, c, *lengths, transposed=(0, 0), leading, kind=0, way=CUBLAS.CUBLAS_COMPUTE_32F, handle=CUBLAS.HANDLE):
    given = [(x.ctypes.data, k, line) for x, k, line in zip((a, b, c), (kind, kind, 0), leading, strict=True)]
    CUBLAS.gemmEx(
        handle, *transposed, *lengths, ONE.ctypes.data, *given[0], *given[1], ZERO.ctypes.data, *given[2], way, -1
    )


def test_matrices_are_read_column_by_column():
    a, b = np.arange(8, dtype=np.float32), np.arange(1, 7, dtype=np.float32)
    c = np.zeros(8, np.float32)
    gemm(a, b, c, 3, 2, 2, leading=(4, 3, 4))  # 3×2 in columns of 4, 2×2 in columns of 3, into columns of 4
    assert c.tolist() == [8, 11, 14, 0, 20, 29, 38, 0]
    gemm(a, b, c, 2, 3, 2, transposed=(1, 1), leading=(2, 3, 2))
    assert c.tolist()[:6] == [4, 14, 5, 19, 6, 24]


def test_operands_are_what_the_types_say():
    a, c = np.array([1.0009765625, 3], np.float32), np.zeros(1, np.float32)
    gemm(a, a, c, 1, 1, 2, leading=(1, 2, 1))
    assert c[0] == a.dot(a)
    gemm(a * np.float32(1.0001), a, c, 1, 1, 2, leading=(1, 2, 1), way=CUBLAS.CUBLAS_COMPUTE_32F_FAST_TF32)
    assert c[0] == a.dot(a)
    for kind, x in ((2, a.astype(np.float16)), (14, (a.view(np.uint32) >> 16).astype(np.uint16))):
        gemm(x, x, c, 1, 1, 2, leading=(1, 2, 1), kind=kind)
        assert c[0] == (a.dot(a) if kind == 2 else 10)


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (TypeError, {"lengths": (1, 1.0, 2)}),
        (OverflowError, {"lengths": (1, 1, 2**31)}),
        (CUBLAS.CUBLASError, {"leading": (0, 2, 1)}),
        (CUBLAS.CUBLASError, {"lengths": (1, -1, 2)}),
        (CUBLAS.CUBLASError, {"kind": 1}),
        (CUBLAS.CUBLASError, {"kind": 2, "way": CUBLAS.CUBLAS_COMPUTE_32F_FAST_TF32}),
        (CUBLAS.CUBLASError, {"way": 0}),
        (CUBLAS.CUBLASError, {"handle": 0}),
    ],
)
def test_what_cublas_refuses(error, change):
    x = np.ones(4, np.float32)
    settings = {"lengths": (1, 1, 2), "leading": (1, 2, 1), **change}
    with pytest.raises(error):
        gemm(x, x, x, *settings.pop("lengths"), **settings)


def test_cupys_functions_of_cublas_take_the_same_arguments():
    cupy()
    theirs = pytest.importorskip("cupy_backends.cuda.libs.cublas", reason="needs cuBLAS", exc_type=ImportError)
    for name in ("gemmEx", "gemmStridedBatchedEx"):
        words = getattr(theirs, name).__doc__.partition("(")[2].rpartition(")")[0].split(", ")
        assert [w.split()[-1] for w in words] == list(inspect.signature(getattr(CUBLAS, name)).parameters)
    for name in ("CUBLAS_COMPUTE_32F", "CUBLAS_COMPUTE_32F_FAST_TF32", "CUBLAS_GEMM_DEFAULT"):
        assert getattr(theirs, name) == getattr(CUBLAS, name)
