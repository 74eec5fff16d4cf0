"""Recurrent layers and their cells, with PyTorch's arguments, names of weights and order of gates."""

import numpy as np

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.autograd import no_grad
from nnscratch.nn import init as initialisers
from nnscratch.nn.module import Module, Parameter

#: The groups of rows in a layer's weights: an LSTM's i, f, g, o; a GRU's r, z, n.
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


class _Recurrent(Module):
    """What layers and cells have in common: how their weights are made, each gate's by itself."""

    gates = 1

    def _make(self, suffix, inputs, bias, init, recurrent_init, bias_init, dtype):
        """The weights of one layer in one direction."""
        layer, hidden = type(self).__name__, self.hidden_size

        def each(what, initialiser, shape, fans):
            parts = [initialisers.make(layer, what, initialiser, shape, fans, dtype) for _ in range(self.gates)]
            return Parameter(np.concatenate(parts))

        setattr(self, f"weight_ih{suffix}", each("init", init, (hidden, inputs), (inputs, hidden)))
        setattr(self, f"weight_hh{suffix}", each("recurrent_init", recurrent_init, (hidden, hidden), (hidden, hidden)))
        for name in ("bias_ih", "bias_hh"):
            value = each("bias_init", bias_init, (hidden,), (hidden, hidden)) if bias else None
            setattr(self, f"{name}{suffix}", value)

    def _weights(self, suffixes):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if self.bias else ("weight_ih", "weight_hh")
        return [getattr(self, f"{name}{suffix}") for suffix in suffixes for name in names]


class _Layers(_Recurrent):
    """Layers upon each other."""

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
        proj_size=0, *, init="glorot_uniform", recurrent_init="orthogonal", bias_init="zeros", dtype="float32",
    ):  # fmt: skip
        super().__init__()
        layer = type(self).__name__
        self.input_size = arguments.count(layer, "input_size", input_size)
        self.hidden_size = arguments.count(layer, "hidden_size", hidden_size)
        self.num_layers = arguments.count(layer, "num_layers", num_layers, most=arguments.MOST_LAYERS)
        self.bias = arguments.flag(layer, "bias", bias)
        self.batch_first = arguments.flag(layer, "batch_first", batch_first)
        self.dropout = arguments.number(layer, "dropout", dropout, 0, 1, "[)")
        self.bidirectional = arguments.flag(layer, "bidirectional", bidirectional)
        if proj_size:
            raise ValueError(
                f"{layer}: proj_size is {proj_size!r}, and projections are not provided; put an nn.Linear after the layer"
            )
        if self.dropout and self.num_layers == 1:
            raise ValueError(
                f"{layer}: dropout is {self.dropout}, and it stands after every layer but the last, so a single layer has none; "
                f"set num_layers, or put nn.Dropout after the layer"
            )
        directions = ("", "_reverse") if self.bidirectional else ("",)
        self._suffixes = tuple(f"_l{k}{d}" for k in range(self.num_layers) for d in directions)
        #: Each direction of each layer as one operation; set to False, the steps are operations, as `F.lstm` says.
        self.fused = True
        dtype = arguments.floating(layer, dtype)
        for place, suffix in enumerate(self._suffixes):
            inputs = self.input_size if place < len(directions) else len(directions) * self.hidden_size
            self._make(suffix, inputs, self.bias, init, recurrent_init, bias_init, dtype)

    def _settings(self):
        return self.bias, self.num_layers, self.dropout, self.training, self.bidirectional, self.batch_first

    def extra_repr(self):
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        others = [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join([str(self.input_size), str(self.hidden_size), *others])


class RNN(_Layers):
    r"""Plain recurrent layers upon each other (Elman, 1990).

    .. math:: h_t = \tanh(x_t W_{ih}^\top + b_{ih} + h_{t-1} W_{hh}^\top + b_{hh})

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    nonlinearity : "tanh" or "relu"
    bias, batch_first, dropout, bidirectional, init, recurrent_init, bias_init, dtype
        As for `LSTM`.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> output, h_n = ns.nn.RNN(3, 8)(np.zeros((5, 2, 3), "float32"))
    >>> output.shape, h_n.shape
    ((5, 2, 8), (1, 2, 8))
    """

    def __init__(
        self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True, batch_first=False, dropout=0.0,
        bidirectional=False, **initial,
    ):  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'; pass one of them")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, **initial)

    def forward(self, x, hx=None, lengths=None):
        """(steps, N, input_size) -> (steps, N, directions x hidden_size), h_n; `hx` and `lengths` as for `F.rnn`."""
        return F.rnn(x, hx, self._weights(self._suffixes), *self._settings(), lengths, self.nonlinearity, self.fused)

    def extra_repr(self):
        return super().extra_repr() + (f", nonlinearity={self.nonlinearity!r}" if self.nonlinearity != "tanh" else "")


class LSTM(_Layers):
    r"""Layers of long short-term memory upon each other (Hochreiter & Schmidhuber, 1997; Gers et al., 2000): S4, S9.

    .. math::

        i_t &= \sigma(x_t W_{ii}^\top + b_{ii} + h_{t-1} W_{hi}^\top + b_{hi}) \\
        f_t &= \sigma(x_t W_{if}^\top + b_{if} + h_{t-1} W_{hf}^\top + b_{hf}) \\
        g_t &= \tanh(x_t W_{ig}^\top + b_{ig} + h_{t-1} W_{hg}^\top + b_{hg}) \\
        o_t &= \sigma(x_t W_{io}^\top + b_{io} + h_{t-1} W_{ho}^\top + b_{ho}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t, \quad h_t = o_t \odot \tanh(c_t)

    The parameters are called as PyTorch's, in its order of gates: of layer k ``weight_ih_l{k}`` (4 hidden_size, inputs),
    ``weight_hh_l{k}`` (4 hidden_size, hidden_size), ``bias_ih_l{k}`` and ``bias_hh_l{k}``, with ``_reverse`` at the end for the
    backward direction. A state_dict of PyTorch's loads unchanged.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    bias : bool
        Whether there are the biases, of which one would do.
    batch_first : bool
        (N, steps, ...) in the place of (steps, N, ...), for input and output; the state stays (layers x directions, N, hidden_size).
    dropout : float
        The probability with which a value is dropped after each layer but the last, in training.
    bidirectional : bool
        A second direction, from the end to the beginning; the output has both, side by side.
    proj_size : 0
        Projections are not provided.
    forget_bias : float
        What the forget gates' bias begins with; see `nnscratch.nn.init.forget_gate_bias`.
    init, recurrent_init, bias_init : str or callable
        See `nnscratch.nn.init`; of each gate by itself. By default, as in the documents' Keras code, Glorot's uniform weights for the
        input, orthogonal ones for the state, and biases of 0.
    dtype : str or dtype

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> lstm = ns.nn.LSTM(3, 8, num_layers=2, batch_first=True)
    >>> x = ns.tensor(np.zeros((2, 5, 3), "float32"))
    >>> output, (h_n, c_n) = lstm(x, lengths=[5, 2])
    >>> output.shape, h_n.shape, c_n.shape
    ((2, 5, 8), (2, 2, 8), (2, 2, 8))

    A long text in pieces, the state carried from one to the next, and gradients within each alone (truncated back-propagation
    through time): the state is detached where a piece ends.

    >>> text, state = np.zeros((2, 60, 3), "float32"), None
    >>> for start in range(0, 60, 20):
    ...     output, state = lstm(ns.tensor(text[:, start : start + 20]), state)
    ...     (output**2).mean().backward()  # and a step of the optimiser
    ...     state = tuple(s.detach() for s in state)
    """

    gates = GATES["LSTM"]

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
        proj_size=0, forget_bias=1.0, **initial,
    ):  # fmt: skip
        settings = num_layers, bias, batch_first, dropout, bidirectional, proj_size
        super().__init__(input_size, hidden_size, *settings, **initial)
        forget_bias = arguments.number("LSTM", "forget_bias", forget_bias)
        if self.bias and initial.get("bias_init", "zeros") == "zeros":
            self._set_forget_gate_bias(forget_bias)

    def _set_forget_gate_bias(self, value):
        set_forget_gate_bias(self, self._suffixes, value)

    def forward(self, x, hx=None, lengths=None):
        """(steps, N, input_size) -> (steps, N, directions x hidden_size), (h_n, c_n); `hx` and `lengths` as for `F.lstm`."""
        return F.lstm(x, hx, self._weights(self._suffixes), *self._settings(), lengths, self.fused)


class GRU(_Layers):
    r"""Layers of gated recurrent units upon each other (Cho et al., 2014), the reset gate after the product, as in cuDNN and PyTorch.

    .. math::

        r_t &= \sigma(x_t W_{ir}^\top + b_{ir} + h_{t-1} W_{hr}^\top + b_{hr}) \\
        z_t &= \sigma(x_t W_{iz}^\top + b_{iz} + h_{t-1} W_{hz}^\top + b_{hz}) \\
        n_t &= \tanh(x_t W_{in}^\top + b_{in} + r_t \odot (h_{t-1} W_{hn}^\top + b_{hn})) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    bias, batch_first, dropout, bidirectional, proj_size, init, recurrent_init, bias_init, dtype
        As for `LSTM`; the weights have 3 hidden_size rows.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> output, h_n = ns.nn.GRU(3, 8, bidirectional=True)(np.zeros((5, 2, 3), "float32"))
    >>> output.shape, h_n.shape
    ((5, 2, 16), (2, 2, 8))
    """

    gates = GATES["GRU"]

    def forward(self, x, hx=None, lengths=None):
        """(steps, N, input_size) -> (steps, N, directions x hidden_size), h_n; `hx` and `lengths` as for `F.gru`."""
        return F.gru(x, hx, self._weights(self._suffixes), *self._settings(), lengths, self.fused)


def set_forget_gate_bias(layer, suffixes, value):
    """Set the forget gates' bias: all of it in bias_ih."""
    if not layer.bias:
        raise ValueError(f"forget_gate_bias: this {type(layer).__name__} has no bias; make it with bias=True")
    forget = slice(layer.hidden_size, 2 * layer.hidden_size)
    with no_grad():
        for suffix in suffixes:
            getattr(layer, f"bias_ih{suffix}")[forget] = value
            getattr(layer, f"bias_hh{suffix}")[forget] = 0.0


class _Cell(_Recurrent):
    """One step of one layer."""

    def __init__(
        self, input_size, hidden_size, bias=True, *, init="glorot_uniform", recurrent_init="orthogonal",
        bias_init="zeros", dtype="float32",
    ):  # fmt: skip
        super().__init__()
        layer = type(self).__name__
        self.input_size = arguments.count(layer, "input_size", input_size)
        self.hidden_size = arguments.count(layer, "hidden_size", hidden_size)
        self.bias = arguments.flag(layer, "bias", bias)
        dtype = arguments.floating(layer, dtype)
        self._make("", self.input_size, self.bias, init, recurrent_init, bias_init, dtype)

    def extra_repr(self):
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """One step of a plain recurrent layer; see `F.rnn_cell` for the formula.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    nonlinearity : "tanh" or "relu"
    init, recurrent_init, bias_init, dtype
        As for `LSTM`.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.RNNCell(3, 8)(np.zeros((2, 3), "float32")).shape
    (2, 8)
    """

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", **initial):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'; pass one of them")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, **initial)

    def forward(self, x, hx=None):
        """(N, input_size), (N, hidden_size) -> (N, hidden_size); no state means zeros, and N may be missing."""
        return F.rnn_cell(x, hx, *self._weights([""]), nonlinearity=self.nonlinearity)


class LSTMCell(_Cell):
    """One step of a layer of long short-term memory; see `F.lstm_cell` for the formula.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    forget_bias : float
        What the forget gate's bias begins with.
    init, recurrent_init, bias_init, dtype
        As for `LSTM`.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> cell, state = ns.nn.LSTMCell(3, 8), None
    >>> for x in np.zeros((5, 2, 3), "float32"):
    ...     state = cell(x, state)
    >>> [s.shape for s in state]
    [(2, 8), (2, 8)]
    """

    gates = GATES["LSTM"]

    def __init__(self, input_size, hidden_size, bias=True, forget_bias=1.0, **initial):
        super().__init__(input_size, hidden_size, bias, **initial)
        forget_bias = arguments.number("LSTMCell", "forget_bias", forget_bias)
        if self.bias and initial.get("bias_init", "zeros") == "zeros":
            self._set_forget_gate_bias(forget_bias)

    def _set_forget_gate_bias(self, value):
        set_forget_gate_bias(self, ("",), value)

    def forward(self, x, hx=None):
        """(N, input_size), the pair of (N, hidden_size) -> (h, c) after the step; no state means zeros, and N may be missing."""
        return F.lstm_cell(x, hx, *self._weights([""]))


class GRUCell(_Cell):
    """One step of a layer of gated recurrent units; see `F.gru_cell` for the formula.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    init, recurrent_init, bias_init, dtype
        As for `LSTM`.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.GRUCell(3, 8)(np.zeros((2, 3), "float32")).shape
    (2, 8)
    """

    gates = GATES["GRU"]

    def forward(self, x, hx=None):
        """(N, input_size), (N, hidden_size) -> (N, hidden_size); no state means zeros, and N may be missing."""
        return F.gru_cell(x, hx, *self._weights([""]))
