"""Whether an array is worth a compiled loop, and the loops themselves, loaded when the first such array comes."""

import contextlib
import functools
import hashlib
import importlib
import os
import pathlib
import threading

import numpy as np

from . import folders

#: Elements from which on an array has Numba loaded. Once it is there, smaller ones use it, too: the results are the same.
LEAST = 1 << 14
#: All modules of loops, which training loads before its first step.
MODULES = (
    "steps.adam_loop",
    "pool.windows_2x2",
    "conv.vectors",
    "conv.depthwise_loops",
    "normalise.jit",
    "activation.loops",
    "recurrent.loops",
    "attention.loops",
    "softmax.loops",
    "loss.loops",
    "scatter.rows",
    "quantise.loops",
)
#: The files of words that loops in other files are written in.
WORDS = ("simd.py", "elementary.py", "sweeps.py")


def module(name, *arrays):
    """A module of loops that Numba compiles, such as ``"pool.windows_2x2"``, or None where NumPy is to do it.

    Its results are those of NumPy's kernels to the last bit; a module of which this is not true may be asked for with arrays
    of `LEAST` elements or more only, so that it does not depend on what else has run.

    Compiled loops take arrays of one dtype, float32 or float64 in the machine's byte order, and are loaded when the first
    comes that has `LEAST` elements. They are left out where Numba cannot be used, or the environment variable
    NNSCRATCH_COMPILED is 0.

    Examples
    --------
    >>> module("steps.adam_loop", np.zeros(3, int)) is None
    True
    """
    first = arrays[0]
    if first.size < LEAST and not _loaded.cache_info().currsize:
        return None
    dtype = first.dtype
    for a in arrays:
        if a.dtype is not dtype and a.dtype != dtype:
            return None
    return module_for(name, dtype)


def module_for(name, dtype):
    """The same for arrays of a dtype and of any size.

    Examples
    --------
    >>> module_for("conv.vectors", np.dtype("float16")) is None
    True
    """
    return _loaded(name) if dtype.char in "fd" and dtype.isnative else None


def contiguous(a):
    """The array itself, or a copy where it is not C-contiguous, aligned and writeable: for each other kind all would be compiled anew.

    Examples
    --------
    >>> contiguous(np.eye(2)[::-1]).flags.c_contiguous
    True
    """
    return a if a.flags.carray else np.require(a, None, "CAW")


def prepare(size):
    """Load all loops where an array has so many elements that it would; whether they are loaded.

    Examples
    --------
    >>> prepare(3)
    False
    """
    return size >= LEAST and all(map(_loaded, MODULES))


@functools.cache
def _loaded(name):
    if not _available():
        return None
    with _kept_in_the_users_cache():
        return importlib.import_module(f"nnscratch.kernels.{name}")


@functools.cache
def _available():
    """Whether Numba compiles here; where it does not, a line of the log, which goes to stderr unless a program says otherwise, tells why."""
    why = _what_is_in_the_way()
    if why:
        _say("nnscratch: %s, so NumPy alone does the work of the CPU, more slowly", why)
    else:
        with _kept_in_the_users_cache() as folder:
            importlib.import_module("nnscratch.kernels.notice").install(folder)
    return not why


def _what_is_in_the_way():
    if os.environ.get("NNSCRATCH_COMPILED") == "0":
        return "NNSCRATCH_COMPILED is 0"
    try:
        numba = importlib.import_module("numba")
        importlib.import_module("nnscratch.kernels.simd")
    except Exception as error:  # missing, broken, or too old for this Python or NumPy
        return f"Numba does not load ({' '.join(str(error).split()) or type(error).__name__})"
    return "NUMBA_DISABLE_JIT is set" if numba.config.DISABLE_JIT else None


_keeping = threading.RLock()


@contextlib.contextmanager
def _kept_in_the_users_cache():
    """Have Numba keep what is defined within this block in the user's cache, unless NUMBA_CACHE_DIR says where.

    Beside the source, its own choice, the files would outlive an uninstall, and the folder left behind would hide a later
    editable install. Numba looks at the date of the file that a loop stands in; what `WORDS` say is in the folder's name.
    Where the folder cannot be written in, nothing is kept.
    """
    config, dispatcher = importlib.import_module("numba").config, importlib.import_module("numba.core.dispatcher")
    words = b"".join(pathlib.Path(__file__).with_name(name).read_bytes() for name in WORDS)
    with _keeping:
        before = config.CACHE_DIR, dispatcher.FunctionCache
        folder = before[0] or str(folders.cache("numba") / hashlib.sha256(words).hexdigest()[:12])
        kept = _can_keep(folder)
        config.CACHE_DIR = folder
        dispatcher.FunctionCache = _sturdy(before[1], folder) if kept else lambda function: _no_cache()
        try:
            yield folder if kept else None
        finally:
            config.CACHE_DIR, dispatcher.FunctionCache = before


def _say(*words):
    importlib.import_module("logging").getLogger("nnscratch").warning(*words)


@functools.cache
def _can_keep(folder):
    """Whether compiled loops can be kept in a folder; where they cannot, a line says so once."""
    why = folders.writable(folder)
    if why:
        _say(
            "nnscratch: compiled loops cannot be kept in %s (%s), so each run compiles them anew; set XDG_CACHE_HOME to a folder that "
            "can be written in",
            folder,
            why,
        )
    return not why


@functools.cache
def _damaged(folder):
    """Say once that what was kept is not what was kept."""
    _say("nnscratch: what was kept of compiled loops in %s is damaged, so they are compiled again", folder)


@functools.cache
def _full(folder, why):
    _say("nnscratch: compiled loops cannot be kept in %s (%s), so the next run compiles them anew", folder, why)


def _no_cache():
    return importlib.import_module("numba.core.caching").NullCache()


@functools.cache
def _sturdy(cache, folder):
    """A cache of Numba's that keeps in the folder it was told, or else nothing, and for which damage is no reason to fail."""

    class Implementation(cache._impl_class):
        _locator_classes = cache._impl_class._locator_classes[
            :1
        ]  # which is the folder; the others stand beside the source

    class Sturdy(cache):
        _impl_class = Implementation

        def load_overload(self, *arguments):
            try:
                return super().load_overload(*arguments)
            except Exception:  # of unpickling, which may be any
                _damaged(folder)
                with contextlib.suppress(OSError):
                    self.flush()
                return None

        def save_overload(self, *arguments):
            try:
                super().save_overload(*arguments)
            except OSError as error:
                _full(folder, error.strerror)
            except Exception:  # of the index, which is read first
                _damaged(folder)
                with contextlib.suppress(OSError):
                    self.flush()

    def made(function):
        try:
            return Sturdy(function)
        except (OSError, RuntimeError) as error:  # it could be written in a moment ago
            _full(folder, getattr(error, "strerror", None) or "it has gone")
            return _no_cache()

    return made
