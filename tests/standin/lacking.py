"""What NumPy has and CuPy 14 has not, as data; `tests/test_standin.py` holds it against CuPy where that is installed."""

#: Functions.
FUNCTIONS = frozenset(
    """asmatrix block bmat busday_count busday_offset datetime_as_string datetime_data einsum_path errstate frompyfunc
    fromregex geomspace get_include getbufsize geterr geterrcall histogram_bin_edges info insert is_busday isnat matvec
    nanpercentile nanquantile nested_iters polyder polydiv polyint setbufsize seterr seterrcall show_runtime spacing test
    unstack vecdot vecmat ndarray matrix memmap recarray nditer flatiter vectorize""".split()
)

#: Functions that CuPy takes over from NumPy as they are.
SAME = frozenset("broadcast_shapes isdtype issubdtype iterable mintypecode promote_types typename".split())

#: Functions whose result is no array.
PLAIN = frozenset(
    "shape ndim size result_type can_cast isscalar may_share_memory shares_memory min_scalar_type".split()
)

#: Functions whose result has as many elements as the values say, so that the host has to wait for them.
SIZED = frozenset("argwhere extract flatnonzero nonzero unique".split())

#: Keywords, by function or method.
KEYWORDS = {
    "all": ("where",),
    "amax": ("initial", "where"),
    "amin": ("initial", "where"),
    "any": ("where",),
    "argpartition": ("kind", "order"),
    "argsort": ("order", "stable"),
    "astype": ("device",),
    "broadcast_arrays": ("subok",),
    "broadcast_to": ("subok",),
    "clip": ("min", "max"),
    "copy": ("subok",),
    "count_nonzero": ("keepdims",),
    "eye": ("device", "like"),
    "full": ("device", "like"),
    "indices": ("sparse",),
    "lexsort": ("axis",),
    "max": ("initial", "where"),
    "mean": ("where",),
    "min": ("initial", "where"),
    "partition": ("kind", "order"),
    "percentile": ("weights",),
    "prod": ("initial", "where"),
    "quantile": ("weights",),
    "sort": ("order", "stable"),
    "std": ("where", "mean", "correction"),
    "sum": ("initial", "where"),
    "take": ("mode",),
    "unique": ("sorted",),
    "var": ("where", "mean", "correction"),
    "zeros": ("device", "like"),
}

#: The methods of NumPy's arrays that CuPy's have, and that the stand-in does not define itself.
METHODS = """all any argmax argmin argpartition argsort astype clip conj copy cumprod cumsum diagonal dot fill flatten max mean
min nonzero partition prod ravel repeat reshape round searchsorted sort squeeze std sum swapaxes take trace transpose var view
""".split()
