"""Recurrent layers on the CPU: products by BLAS, and each step's pass over gates and state as a compiled loop."""

import functools

import numpy as np

from .. import compiled
from ..blas import dot
from ..matmul.cpu import channel_sums
from . import definition


@functools.lru_cache(maxsize=64)
def _zeros(*shape):
    """Zeros of float32, kept; nobody writes to them, but loops would be compiled anew for arrays that cannot be written."""
    return np.zeros(shape, np.float32)


class _Blas:
    """Products by BLAS with as many threads as they are worth."""

    def product(self, a, b):
        return dot(a, b)

    def column_sums(self, a):
        return channel_sums(a, 1)


class _Tanh(_Blas, definition.Tanh):
    pass


class _ReLU(_Blas, definition.ReLU):
    pass


class _LSTM(_Blas, definition.LSTM):
    pass


class _GRU(_Blas, definition.GRU):
    pass


def _loops():
    return compiled.module_for("recurrent.loops", np.dtype(np.float32))


def _or_zeros(a, *shape):
    return _zeros(*shape) if a is None else compiled.contiguous(a)


class _TanhLoop(_Tanh):
    def step(self, z, recurrent, bias, before, after, inner):
        n, hidden = z.shape
        _loops().tanh_step(z, _or_zeros(recurrent, n, hidden), _or_zeros(bias, hidden), after[0])


#: Multiplications of one step's product up to which all steps are one call, and how many steps pay for packing the weight.
SMALL, STEPS = 1 << 22, 8


def _small(weight_hh, batch_sizes):
    """Whether all steps are to be one call; its loops write whole panels."""
    few = weight_hh.size * batch_sizes[0] <= SMALL and len(batch_sizes) >= STEPS
    return few and weight_hh.shape[1] % _loops().panel_width() == 0


@functools.lru_cache(maxsize=256)
def _walk(batch_sizes, reverse):
    return np.array(definition.walk(batch_sizes, reverse), np.int64)


def _panels(weight):
    loops = _loops()
    return loops.pack(weight, loops.panel_width())


class _LSTMLoop(_LSTM):
    def steps(self, z, weight_hh, bias, begin, batch_sizes, reverse, states, inner):
        if not _small(weight_hh, batch_sizes):
            super().steps(z, weight_hh, bias, begin, batch_sizes, reverse, states, inner)
            return
        hidden, most = weight_hh.shape[1], batch_sizes[0]
        h_0, c_0 = (_or_zeros(s, most, hidden) for s in begin)
        given = _walk(batch_sizes, reverse), z, _panels(weight_hh.T), _or_zeros(bias, 4 * hidden), h_0, c_0
        _loops().lstm_steps(*given, begin[0] is not None, *states, np.empty_like(z, shape=(most, 4 * hidden)))

    def step_gradients(
        self, d, d_recurrent, d_states, g_output, weight_hh, begin, batch_sizes, reverse, states, gates, inner
    ):
        if not _small(weight_hh, batch_sizes):
            given = d, d_recurrent, d_states, g_output, weight_hh, begin, batch_sizes, reverse, states, gates, inner
            super().step_gradients(*given)
            return
        hidden = weight_hh.shape[1]
        given = _walk(batch_sizes, reverse), d, *d_states, _or_zeros(g_output, 0, hidden), _panels(weight_hh)
        c_0 = _or_zeros(begin[1], batch_sizes[0], hidden)
        _loops().lstm_step_gradients(*given, c_0, begin[0] is not None, states[1], gates)

    def step(self, z, recurrent, bias, before, after, inner):
        n, hidden = after[0].shape
        zeros = _or_zeros(recurrent, n, 4 * hidden), _or_zeros(bias, 4 * hidden), _or_zeros(before[1], n, hidden)
        _loops().lstm_step(z, *zeros, *after)

    def step_gradient(self, d, d_recurrent, d_after, d_others, gates, before, after, inner):
        c_before = _or_zeros(before[1], *after[0].shape)
        _loops().lstm_step_gradient(d, d_after, d_others[0], gates, c_before, after[1])


class _GRULoop(_GRU):
    def steps(self, z, weight_hh, bias, begin, batch_sizes, reverse, states, inner):
        if not _small(weight_hh, batch_sizes):
            super().steps(z, weight_hh, bias, begin, batch_sizes, reverse, states, inner)
            return
        hidden, most = weight_hh.shape[1], batch_sizes[0]
        h_0, bias = _or_zeros(begin[0], most, hidden), _or_zeros(bias, 4 * hidden)
        given = _walk(batch_sizes, reverse), z, _panels(weight_hh.T), bias, h_0, begin[0] is not None
        _loops().gru_steps(*given, *states, *inner, np.empty_like(z, shape=(most, 3 * hidden)))

    def step_gradients(
        self, d, d_recurrent, d_states, g_output, weight_hh, begin, batch_sizes, reverse, states, gates, inner
    ):
        if not _small(weight_hh, batch_sizes):
            given = d, d_recurrent, d_states, g_output, weight_hh, begin, batch_sizes, reverse, states, gates, inner
            super().step_gradients(*given)
            return
        hidden, most = weight_hh.shape[1], batch_sizes[0]
        given = d, d_recurrent, np.empty_like(d, shape=(most, hidden)), *d_states, _or_zeros(g_output, 0, hidden)
        h_0, begins = _or_zeros(begin[0], most, hidden), begin[0] is not None
        last = _panels(weight_hh), h_0, begins, *states, gates, *inner
        _loops().gru_step_gradients(_walk(batch_sizes, reverse), *given, *last)

    def step(self, z, recurrent, bias, before, after, inner):
        n, hidden = after[0].shape
        zeros = _or_zeros(recurrent, n, 3 * hidden), _or_zeros(bias, 4 * hidden), _or_zeros(before[0], n, hidden)
        _loops().gru_step(z, *zeros, after[0], inner[0])

    def step_gradient(self, d, d_recurrent, d_after, d_others, gates, before, after, inner):
        rest, h_before = np.empty_like(after[0]), _or_zeros(before[0], *after[0].shape)
        _loops().gru_step_gradient(d, d_recurrent, rest, d_after, gates, h_before, inner[0])
        return rest


_by_definition = definition.kernels(_Tanh(), _ReLU(), _LSTM(), _GRU())
_by_loops = definition.kernels(_TanhLoop(), _ReLU(), _LSTMLoop(), _GRULoop())


def _fast(k):
    """The kernel number k: by loops where the layer or the batch is large enough, which shapes alone decide."""
    name = definition.KERNELS[k]
    first = 2 + (name == "lstm_gradients") if name.endswith("gradients") else 0

    @functools.wraps(getattr(definition, name))
    def kernel(*arguments):
        x, _, weight_hh = arguments[first : first + 3]
        large = max(weight_hh.size, len(x) * len(weight_hh)) >= compiled.LEAST
        loops = large and x.dtype == np.float32 and _loops()
        return (_by_loops if loops else _by_definition)[k](*arguments)

    return kernel


rnn, rnn_gradients, lstm, lstm_gradients, gru, gru_gradients = map(_fast, range(6))
