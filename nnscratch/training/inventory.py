"""What objects hold that a training run depends on: random numbers, settings and counters, wherever they hide."""

import contextlib
import functools
import io
import random
import types
import zlib
from collections import deque

import numpy as np

from nnscratch import backend
from nnscratch.autograd import Op
from nnscratch.nn import Buffer, Module, Parameter
from nnscratch.optim.optimizer import Optimizer
from nnscratch.tensor import Tensor

MOST_LOOKED_AT = 100  # things in a list, such as the parts of an augmentation; longer lists are data
MOST_BYTES = 1 << 25  # of an array that are looked at
SCALARS = (type(None), bool, int, float, str)
ARRAY = (np.ndarray,)
GENERATORS = (np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)
#: What changes nothing of a run's numbers.
ASIDE = {"DataLoader": {"num_workers", "prefetch_factor"}}


class Inventory:
    """What is found by following attributes, items, closures, partial arguments and the globals that functions name.

    Private attributes of nnscratch's own objects, and all but numbers and generators among globals, are gone through for
    generators alone.

    Parameters
    ----------
    quiet : sequence
        What is gone through for generators alone.
    **roots
        Where to begin, each with the name its paths begin with.

    Attributes
    ----------
    generators : list
        Generators of random numbers, that of the CPU first.
    values : dict of str to str
        By path what settings, names of classes and functions, and arrays' checksums are.
    scalars : dict of str to number, str, bool or None
        Those of the values that can be put back.
    arrays : dict of str to array
        Arrays that can be put back.
    modules : dict of str to bool
        Paths of modules, and whether their class is a user's: what such a one has besides may be made as it is called.
    iterators : list of str
        Paths of iterators, whose place nobody can ask for.

    Examples
    --------
    >>> found = Inventory(augment=functools.partial(print, 0.5, end=np.random.default_rng(0)))
    >>> found.values
    {'augment': 'print', 'augment.args.0': '0.5'}
    >>> len(found.generators)
    2
    """

    def __init__(self, quiet=(), **roots):
        self.generators, self.values, self.iterators = [backend.cpu.rng], {}, []
        self.scalars, self.arrays, self.modules = {}, {}, {}
        self._put, self._seen = {}, {id(backend.cpu.rng): backend.cpu.rng}
        self._holders: dict = {}
        self._stack = [("quiet", list(quiet), None, True)]
        self._stack += [(name, value, None, False) for name, value in reversed(roots.items())]
        while self._stack:
            self._look(*self._stack.pop())

    # Random numbers

    def random(self):
        """The states of all generators, and of NumPy's and Python's own, fit for JSON."""
        return [listed(_state(g)) for g in (*self.generators, np.random.mtrand._rand, random._inst)]

    def fits(self, states):
        """Whether states that `random` returned are of generators such as these."""
        now = self.random()
        return len(now) == len(states) and all(map(_alike, now, states))

    def set_random(self, states):
        """Take over what `random` returned."""
        generators = [*self.generators, np.random.mtrand._rand, random._inst]
        for generator, state in zip(generators, states, strict=True):
            if isinstance(generator, random.Random):
                version, numbers, gauss = state["python"]
                generator.setstate((version, tuple(numbers), gauss))
            elif isinstance(generator, np.random.RandomState):
                generator.set_state(state)
            else:
                (getattr(generator, "bit_generator", generator)).state = state

    def put(self, values):
        """Put scalars and arrays at their paths."""
        for path, value in values.items():
            holder, _, name = path.rpartition(".")
            if path in self._put:
                self._put[path](value)
            elif self._holders.get(holder):
                self._holders[holder][0](name, value)

    def take_over(self, values, states):
        """`put` and `set_random`, all of it or nothing.

        Raises
        ------
        ValueError
            Where a value is of another kind than what is at its path.
        """
        for path, value in values.items():
            here = self.arrays.get(path, self.scalars.get(path))
            if here is not None and value is not None and isinstance(here, ARRAY) != isinstance(value, ARRAY):
                raise ValueError(f"{path} is of another kind")
        before, added = self.random(), [p for p in values if p not in self._put]
        try:
            self.put(values)
            self.set_random(states)
        except BaseException:
            self.set_random(before)
            self.put({path: v for path, v in (self.scalars | self.arrays).items() if path in values})
            for path in reversed(added):
                holder, _, name = path.rpartition(".")
                with contextlib.suppress(AttributeError, LookupError, TypeError):  # which has not been put there
                    self._holders[holder][1](name)
            raise

    # Finding

    def _look(self, path, value, put, quiet):
        kind = type(value)
        if kind in SCALARS or isinstance(value, np.generic | complex | bytes | np.dtype):
            self._note(path, repr(value), quiet)
            if put is not None and not quiet and kind in SCALARS:
                self.scalars[path], self._put[path] = value, put
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, GENERATORS):
            if not isinstance(value, random.SystemRandom):
                self.generators.append(value)
        elif isinstance(value, np.ndarray | Tensor):
            if isinstance(value, Parameter):
                self._look(f"{path}.requires_grad", value.requires_grad, value.requires_grad_, quiet)
            elif not isinstance(value, Buffer) and not quiet:
                if (
                    path.rpartition(".")[0] not in self.modules
                ):  # which keep what they have seen, too: it is put back instead
                    self._note(path, checksum(value), quiet)
                if put is not None and isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
                    self.arrays[path], self._put[path] = value, put
        elif isinstance(value, type | types.ModuleType | types.BuiltinFunctionType | np.ufunc):
            self._note(path, value.__name__, quiet)
        elif isinstance(value, Op):
            self._note(path, value.name, quiet)
            self._stack.append((path, value.forward, None, True))
        elif isinstance(value, functools.partial):
            self._look(path, value.func, None, quiet)
            self._push(f"{path}.args", enumerate(value.args), None, quiet)
            self._push(path, value.keywords.items(), value.keywords.__setitem__, quiet)
        elif isinstance(value, types.MethodType):
            self._stack.append((path, value.__self__, None, quiet))
            self._note(path, value.__func__.__name__, quiet)
        elif isinstance(value, types.FunctionType):
            self._look_at_function(path, value, quiet)
        elif isinstance(value, list | tuple | deque | set | frozenset):
            self._look_at_items(path, value, quiet)
        elif isinstance(value, dict | types.MappingProxyType):
            if len(value) > MOST_LOOKED_AT:
                self._note(path, f"{kind.__name__} of {len(value)}", quiet)
            else:
                put = getattr(value, "__setitem__", None)
                self._holders[path] = put and (put, value.__delitem__)
                self._push(path, value.items(), put, quiet)
        elif hasattr(kind, "__next__") and not isinstance(value, io.IOBase):
            if not quiet:
                self.iterators.append(path)
        elif not isinstance(value, Optimizer):
            self._look_at_object(path, value, quiet)

    def _note(self, path, text, quiet):
        if not quiet:
            self.values.setdefault(path, text)

    def _push(self, path, items, put, quiet):
        rows = [(f"{path}.{key}", v, put and functools.partial(put, key), quiet) for key, v in items]
        self._stack += reversed(rows)

    def _look_at_items(self, path, value, quiet):
        if isinstance(value, set | frozenset):
            value = tuple(sorted(value, key=repr))
        if len(value) > MOST_LOOKED_AT:
            simple = set(map(type, value)) <= set(SCALARS)
            checked = f" {zlib.crc32(repr(list(value)).encode()):08x}" if simple and not quiet else ""
            self._note(path, f"{type(value).__name__} of {len(value)}{checked}", quiet)
        if isinstance(value, list | deque):
            length = len(value)
            self._holders[path] = lambda _, item: value.append(item), lambda _: value.__delitem__(slice(length, None))
        self._push(path, enumerate(list(value)[:MOST_LOOKED_AT]), getattr(value, "__setitem__", None), quiet)

    def _look_at_function(self, path, function, quiet):
        name, code = function.__name__, function.__code__
        self._note(path, f"{name} {_code(code):08x}" if name == "<lambda>" else name, quiet)
        if _is_own(function.__module__):
            return
        self._push(f"{path}.defaults", enumerate(function.__defaults__ or ()), None, quiet)
        self._push(path, (function.__kwdefaults__ or {}).items(), None, quiet)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # not assigned yet
                put = functools.partial(setattr, cell, "cell_contents")
                self._stack.append((f"{path}.{name}", cell.cell_contents, put, quiet))
        self._stack += [(f"{path}.{n}", f, None, quiet) for n, f in vars(function).items() if n == "__wrapped__"]
        self._look_at_globals(path, function, quiet)

    def _look_at_globals(self, path, function, quiet):
        found = function.__globals__
        for name in _names(function.__code__):
            value = found.get(name)
            if name not in found or isinstance(value, type | types.ModuleType):
                continue
            if isinstance(value, types.FunctionType) and value.__module__ != function.__module__:
                continue
            simple = isinstance(value, (*SCALARS, np.ndarray, types.FunctionType)) or hasattr(type(value), "__next__")
            put = functools.partial(found.__setitem__, name)
            self._stack.append((f"{path}.{name}", value, put, quiet or not simple))

    def _look_at_object(self, path, value, quiet):
        kind = type(value)
        own = _is_own(kind.__module__)
        self._holders[path] = functools.partial(setattr, value), functools.partial(delattr, value)
        self._note(path, kind.__name__, quiet)
        attributes = dict(getattr(value, "__dict__", {}))
        for cls in kind.__mro__:
            slots = vars(cls).get("__slots__", ())
            names = (slots,) if isinstance(slots, str) else slots
            attributes |= {n: getattr(value, n) for n in names if not n.startswith("__") and hasattr(value, n)}
        if isinstance(value, Module):
            attributes["training"] = value.training
            self.modules[path] = not own
        aside = ASIDE.get(kind.__name__, ()) if own else ()
        rows = [
            (f"{path}.{n}", v, functools.partial(setattr, value, n), quiet or (own and n.startswith("_")))
            for n, v in attributes.items()
            if n not in aside
            and not (isinstance(value, Module) and isinstance(v, Tensor) and not isinstance(v, Parameter))
        ]
        for cls in kind.__mro__:
            if _is_own(cls.__module__) or cls.__module__ == "builtins":
                continue
            for name, member in vars(cls).items():
                function = getattr(member, "__func__", getattr(member, "fget", member))
                if isinstance(function, types.FunctionType):
                    self._look_at_globals(f"{path}.{name}", function, quiet)
                elif not name.startswith("__") and name not in attributes:
                    simple = isinstance(member, SCALARS)
                    rows.append(
                        (f"{path}.{name}", member, functools.partial(setattr, value, name), quiet or not simple)
                    )
        self._stack += reversed(rows)


@contextlib.contextmanager
def unchanged(root):
    """Within this block what is found at `root` may draw random numbers and count; then all is as it was before.

    Examples
    --------
    >>> counter = {"calls": 0, "random": np.random.default_rng(0)}
    >>> with unchanged(counter):
    ...     counter["calls"] += 1
    ...     first = counter["random"].random()
    >>> counter["calls"], counter["random"].random() == first
    (0, True)
    """
    found = Inventory(root=root)
    states = found.random()
    with backend.same_random():
        try:
            yield
        finally:
            found.set_random(states)
            now = Inventory(root=root).scalars
            found.put({path: v for path, v in found.scalars.items() if path in now and repr(now[path]) != repr(v)})


def checksum(array, most=MOST_BYTES):
    """An array's shape, dtype and a sum over its bytes; of one of more bytes than `most` over evenly spaced rows.

    Examples
    --------
    >>> checksum(np.zeros((2, 3), np.float32))
    '(2, 3) float32 a3c1ca20'
    """
    array = array.numpy() if isinstance(array, Tensor) else array
    rows = array
    if array.nbytes > most and array.ndim:
        rows = array[:: -(-array.nbytes // most)]
    if array.dtype.kind == "O":
        return f"{array.shape} {array.dtype}"
    return f"{array.shape} {array.dtype} {zlib.crc32(np.ascontiguousarray(rows)):08x}"


def _is_own(module):
    return str(module).split(".")[0] in ("nnscratch", "numpy")


def _names(code):
    """The names that a function's code, and the code within it, may mean as globals."""
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= dict.fromkeys(_names(constant))
    return list(names)


def _code(code):
    """A sum over what a function's code does."""
    constants = [_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return zlib.crc32(repr((code.co_code, constants, code.co_names)).encode())


def _state(generator):
    if isinstance(generator, random.Random):
        return {"bit_generator": "random.Random", "python": generator.getstate()}
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return getattr(generator, "bit_generator", generator).state


#: Places in a generator's buffer, and the last that each may be: a greater one would have it read beyond.
LAST = {"pos": 624, "buffer_pos": 4}


def _alike(now, state, key=""):
    """Whether a generator's state from a file is made as one of its own is."""
    if isinstance(now, dict):
        return (
            isinstance(state, dict)
            and state.keys() == now.keys()
            and all(_alike(v, state[k], k) for k, v in now.items())
        )
    if isinstance(now, list | tuple):
        return isinstance(state, list) and len(state) == len(now) and all(map(_alike, now, state))
    if isinstance(now, str):
        return state == now
    if now is None or isinstance(now, float):
        return state is None or (isinstance(state, int | float) and not isinstance(state, bool))
    return (
        isinstance(state, int)
        and 0 <= state <= LAST.get(key, 2**256)
        and isinstance(state, bool) == isinstance(now, bool)
    )


def listed(value):
    """A generator's state with its arrays, which only some kinds have, as lists.

    Examples
    --------
    >>> listed({"key": np.arange(2), "pair": (1, None)})
    {'key': [0, 1], 'pair': [1, None]}
    """
    if isinstance(value, dict):
        return {key: listed(v) for key, v in value.items()}
    if isinstance(value, tuple):
        return [listed(v) for v in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
