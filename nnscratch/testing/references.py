"""Every operation of the table once more, by its definition, on numbers of 50 digits.

A reference takes what its operation takes, with arrays of `mpmath.mpf` (dtype object) in the place of floating-point
arrays, and returns such an array, or a tuple of them for an operation with several results. It never calls the
operation or its kernels.
"""

from functools import partial

import mpmath
import numpy as np

from nnscratch.kernels.dropout.definition import mask as dropout_mask
from nnscratch.ops.conv import geometry, pair
from nnscratch.testing import by_window

DIGITS = 50

exp, log, sqrt, sin, cos, tanh, erf, ncdf, isnan, isinf, floor, ceil, nint = (
    np.frompyfunc(f, 1, 1)
    for f in (
        mpmath.exp,
        mpmath.log,
        mpmath.sqrt,
        mpmath.sin,
        mpmath.cos,
        mpmath.tanh,
        mpmath.erf,
        mpmath.ncdf,
        mpmath.isnan,
        mpmath.isinf,
        mpmath.floor,
        mpmath.ceil,
        mpmath.nint,
    )
)
tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh = (
    np.frompyfunc(f, 1, 1)
    for f in (
        mpmath.tan,
        mpmath.asin,
        mpmath.acos,
        mpmath.atan,
        mpmath.sinh,
        mpmath.cosh,
        mpmath.asinh,
        mpmath.acosh,
        mpmath.atanh,
    )
)


def exact(reference, args, kwargs):
    """What a reference gives for the arguments of its operation, as an array.

    Parameters
    ----------
    reference : callable
        One of `REFERENCES`, or your own.
    args, kwargs : sequence, dict
        Arguments of the operation; floating-point arrays are turned into numbers of 50 digits, exactly.

    Returns
    -------
    array of mpmath.mpf, or of bool or int where that is the operation's result; a tuple of them where it has several

    Examples
    --------
    >>> import numpy as np
    >>> print(exact(lambda x: 1 / x, [np.array([3.0])], {})[0])
    0.33333333333333333333333333333333333333333333333333
    """
    with mpmath.workdps(DIGITS):
        args = [_lifted(a) for a in args]
        y = reference(*args, **{k: _lifted(v) for k, v in kwargs.items()})
        return tuple(map(np.asarray, y)) if isinstance(y, tuple) else np.asarray(y)


def _lifted(value):
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    out = np.empty(value.shape, object)
    for place in np.ndindex(value.shape):
        out[place] = mpmath.mpf(float(value[place]))
    return out


def units(result, expected, magnitude=None):
    """The greatest error of a result, in units in the last place of float64.

    Parameters
    ----------
    result : array
        Of an operation.
    expected : array of mpmath.mpf, int or bool
        What `exact` gives.
    magnitude : array of mpmath.mpf, optional
        Of which magnitude the unit is taken: by default of the expected value.

    Returns
    -------
    float
        0 where every element is the expected one; infinite where shapes differ, or whole numbers or booleans do.

    Examples
    --------
    >>> import numpy as np
    >>> third = exact(lambda x: 1 / x, [np.array([3.0])], {})
    >>> units(np.array([1 / 3]), third) < 0.5
    True
    """
    result = np.asarray(result)
    if result.shape != expected.shape:
        return np.inf
    if result.dtype.kind != "f":
        return 0.0 if np.array_equal(result, expected) else np.inf
    magnitude = expected if magnitude is None else magnitude
    worst = 0.0
    with mpmath.workdps(DIGITS):
        for place in np.ndindex(result.shape):
            if result[place] != expected[place]:
                error = abs(mpmath.mpf(float(result[place])) - expected[place])
                worst = max(worst, float(error / np.spacing(float(abs(magnitude[place])))))
    return worst


# Definitions that need more than a line


def _count(x, y):
    """How many elements of `x` each element of its reduction `y` was made from."""
    return np.size(x) // max(np.size(y), 1)


def _mean(x, axis=None, keepdims=False):
    total = np.sum(x, axis=axis, keepdims=keepdims)
    return total / _count(x, total)


def _var(x, axis=None, ddof=0, keepdims=False):
    d = x - _mean(x, axis, True)
    total = np.sum(d * d, axis=axis, keepdims=keepdims)
    return total / (_count(x, total) - ddof)


def _softmax(x, axis=-1):
    e = exp(x)
    return e / np.sum(e, axis=axis, keepdims=True)


def _sum_to(x, shape):
    out = np.full(shape, mpmath.mpf(0))
    for place in np.ndindex(x.shape):
        tail = place[x.ndim - len(shape) :]
        out[tuple(i if n > 1 else 0 for i, n in zip(tail, shape, strict=True))] += x[place]
    return out


def _put_add(x, shape, index):
    out = np.full(shape, mpmath.mpf(0))
    places = np.arange(out.size).reshape(shape)[index]
    for place, value in zip(np.ravel(places), np.broadcast_to(x, np.shape(places)).flat, strict=True):
        out.flat[place] += value
    return out


def _put(x, index, values):
    out = x.copy()
    places = np.arange(out.size).reshape(x.shape)[index]
    for place, value in zip(np.ravel(places), np.broadcast_to(values, np.shape(places)).flat, strict=True):
        out.flat[place] = value
    return out


def _where_diagonal(inside, x):
    """The elements whose column less their row passes, and 0 elsewhere."""
    rows, columns = np.ogrid[: x.shape[-2], : x.shape[-1]]
    return np.where(inside(columns - rows), x, mpmath.mpf(0))


def _linear(x, weight, bias=0):
    return np.sum(x[..., None, :] * weight, axis=-1) + bias


def _einsum(subscripts, *operands):
    """Every product of one element of each operand, added into the place that its letters name."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    if not arrow:
        right = "..." * ("..." in left) + "".join(sorted(c for c in set(left) - {",", "."} if left.count(c) == 1))
    terms = left.split(",")
    dots = [o.ndim - len(t.replace("...", "")) for t, o in zip(terms, operands, strict=True)]
    spare = "0123456789"[: max(dots)]  # names for the axes that ... stands for, which end together
    terms = [t.replace("...", spare[len(spare) - n :]) for t, n in zip(terms, dots, strict=True)]
    right = right.replace("...", spare)
    sizes: dict = {}
    for term, o in zip(terms, operands, strict=True):
        for letter, n in zip(term, o.shape, strict=True):
            sizes[letter] = max(n, sizes.get(letter, 1))
    out = np.full([sizes[c] for c in right], mpmath.mpf(0))
    for place in np.ndindex(*sizes.values()):
        at = dict(zip(sizes, place, strict=True))
        product = mpmath.mpf(1)
        for term, o in zip(terms, operands, strict=True):
            product *= o[tuple(min(at[c], n - 1) for c, n in zip(term, o.shape, strict=True))]
        out[tuple(at[c] for c in right)] += product
    return out


def _reduced(losses, reduction, n=None):
    if reduction == "none":
        return losses
    total = np.sum(losses)
    return total / (np.size(losses) if n is None else n) if reduction == "mean" else total


def _less(first, *others):
    return first - sum(others)


def _sizes(*terms):
    """What stands for `_less` where a magnitude is wanted."""
    return sum(map(abs, terms))


def _distributions(p, q):
    """Labels as distributions."""
    return q if q.ndim == p.ndim else q[..., None] == np.arange(p.shape[-1])


def _cross_entropy(p, q, reduction, n):
    q = _distributions(p, q)
    return _reduced(-np.sum(q * log(p), axis=-1), reduction, n)


def _softmax_cross_entropy(z, q, reduction, n, less=_less):
    p, q = _softmax(z), _distributions(z, q)
    return _cross_entropy(p, q, reduction, n), less(p * np.sum(q, axis=-1, keepdims=True), q * mpmath.mpf(1))


def _distillation_loss(student, teacher, temperature=1.0):
    p, q = _softmax(student / temperature), _softmax(teacher / temperature)
    return temperature**2 * _mean(-np.sum(q * log(p), axis=-1))


def _binary_cross_entropy(p, q, reduction="mean"):
    return _reduced(-(q * log(p) + (1 - q) * log(1 - p)), reduction)


def _sigmoid(x):
    return 1 / (1 + exp(-x))


def _gelu(x, approximate="none"):
    if approximate == "none":
        return x * ncdf(x)
    return x * (1 + tanh(sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))) / 2


def _conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    settings = geometry("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)[:3]
    return by_window.conv2d(x, weight, bias, *settings, groups)


def _conv2d_input(d, weight, size, stride=1, padding=0, dilation=1, groups=1):
    settings = geometry("conv2d_input", size, weight.shape[2:], stride, padding, dilation)[:3]
    return by_window.conv2d_input(d, weight, size, *settings, groups)


def _conv2d_weight(d, x, kernel, stride=1, padding=0, dilation=1, groups=1):
    settings = geometry("conv2d_weight", x.shape[2:], kernel, stride, padding, dilation)[:3]
    return by_window.conv2d_weight(d, x, kernel, *settings, groups)


def _windows(size, kernel, stride=None, padding=0, dilation=1, ceil_mode=False):
    kernel = pair("pooling", "kernel_size", kernel, 1)
    stride = kernel if stride is None else stride
    return kernel, *geometry("pooling", size, kernel, stride, padding, dilation, ceil_mode)[:3]


def _max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    return by_window.max_pool2d(x, *_windows(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode))


def _max_pool2d_indices(x, *settings):
    """The numbers of an image's cells, taken from where the greatest value of each window stands."""
    windows = _windows(x.shape[2:], *settings)
    numbers = np.broadcast_to(np.arange(x.shape[2] * x.shape[3]).reshape(x.shape[2:]), x.shape)
    return by_window.pool_gather(numbers, by_window.max_pool2d(x.astype(float), *windows)[1], *windows)


def _topk(x, k, axis=-1, largest=True):
    """Of distinct values: those first in falling or rising order."""
    order = np.argsort(-x if largest else x, axis, stable=True)
    indices = np.take(order, range(k), axis)
    return np.take_along_axis(x, indices, axis), indices


def _pool_gather(x, index, *settings):
    return by_window.pool_gather(x, index, *_windows(x.shape[2:], *settings))


def _pool_scatter(x, index, size, *settings):
    return by_window.pool_scatter(x, index, size, *_windows(size, *settings))


def _sum_pool2d(x, kernel_size, stride=None, padding=0, dilation=1):
    return by_window.sum_pool2d(x, *_windows(x.shape[2:], kernel_size, stride, padding, dilation))


def _sum_unpool2d(x, size, kernel_size, stride=None, padding=0, dilation=1):
    return by_window.sum_unpool2d(x, size, *_windows(size, kernel_size, stride, padding, dilation))


def _root(x, axis, eps, centred):
    return sqrt((_var(x, axis, 0, True) if centred else _mean(x * x, axis, True)) + eps)


def _statistics(x, axis, centred=True, less=_less):
    """The mean and the variance, or 0 and the mean square."""
    mean = _mean(less(x), axis, True) if centred else 0 * _mean(x, axis, True)
    return mean, _mean(less(x, mean) ** 2, axis, True)


def _standardize(x, axis, eps=1e-5, weight=None, bias=None, centred=True, less=_less):
    values = _standardized(x, axis, eps, weight, bias, centred, less)
    return values, *_statistics(x, axis, centred, less)


def _standardized(x, axis, eps=1e-5, weight=None, bias=None, centred=True, less=_less):
    y = less(x, *([_mean(x, axis, True)] if centred else [])) / _root(x, axis, eps, centred)
    y = y if weight is None else y * weight
    return y if bias is None else less(y, -bias)


def _standardize_input(d, x, axis, eps=1e-5, weight=None, centred=True, less=_less):
    h, y = less(d if weight is None else d * weight), _standardized(x, axis, eps, centred=centred, less=less)
    means = [y * _mean(h * y, axis, True), *([_mean(h, axis, True)] if centred else [])]
    return less(h, *means) / _root(x, axis, eps, centred)


def _standardize_weight(d, x, shape, axis, eps=1e-5, centred=True, less=_less):
    return _sum_to(less(d) * _standardized(x, axis, eps, centred=centred, less=less), shape)


def _sequences(batch_sizes, reverse):
    """For each sequence of a packed batch the rows of its steps, in the order in which they are taken."""
    first = np.cumsum((0, *batch_sizes))
    rows = [[int(first[t]) + n for t, size in enumerate(batch_sizes) if n < size] for n in range(batch_sizes[0])]
    return [r[::-1] for r in rows] if reverse else rows


def _recurrent(step, kept, states, x, weight_ih, weight_hh, bias_ih, bias_hh, *others):
    """One direction of a recurrent layer, each sequence by itself: a step gives the states and what is kept of it."""
    begin, (batch_sizes, *settings) = others[:states], others[states:]
    reverse, settings = (settings[0], settings[1:]) if settings else (False, ())
    hidden = weight_hh.shape[1]
    zero = np.full(hidden, mpmath.mpf(0))
    final = [np.full((batch_sizes[0], hidden), mpmath.mpf(0)) for _ in range(states)]
    rows: list = [None] * len(x)
    for n, sequence in enumerate(_sequences(batch_sizes, reverse)):
        state = [zero if s is None else s[n] for s in begin]
        for row in sequence:
            a, b = weight_ih.dot(x[row]), weight_hh.dot(state[0])
            a, b = (a, b) if bias_ih is None else (a + bias_ih, b + bias_hh)
            state, *inner = step(a, b, state, *settings)
            rows[row] = [state[0], *inner]
        for result, s in zip(final, state, strict=True):
            result[n] = s
    output, *inner = (np.array([row[k] for row in rows]) for k in range(1 + kept))
    return output, *final, *inner


def _rnn_step(a, b, state, nonlinearity="tanh"):
    return ([tanh(a + b) if nonlinearity == "tanh" else np.maximum(a + b, 0)],)


def _lstm_step(a, b, state):
    i, f, g, o = np.split(a + b, 4)
    i, f, g, o = _sigmoid(i), _sigmoid(f), tanh(g), _sigmoid(o)
    c = f * state[1] + i * g
    return [o * tanh(c), c], np.concatenate([i, f, g, o]), c


def _gru_step(a, b, state):
    (r, z, n), (r_h, z_h, n_h) = np.split(a, 3), np.split(b, 3)
    r, z = _sigmoid(r + r_h), _sigmoid(z + z_h)
    n = tanh(n + r * n_h)
    return [(1 - z) * n + z * state[0]], np.concatenate([r, z, n]), n_h


def _transposed(x):
    return np.swapaxes(x, -1, -2)


def _weights(query, key, value, mask, scale, causal):
    """Each query's exponentials, of the keys that it may attend to, and their sum; for all leading axes."""
    s = np.matmul(query, _transposed(key)) * scale
    within = () if mask is None else mask.shape[:-2]
    s = np.broadcast_to(s, (*np.broadcast_shapes(s.shape[:-2], value.shape[:-2], within), *s.shape[-2:]))
    allowed = np.ones(s.shape, bool)
    if mask is not None:
        allowed, s = (allowed & mask, s) if mask.dtype == bool else (allowed, s + mask)
    if causal:
        allowed = allowed & np.tri(*s.shape[-2:], dtype=bool)
    e = np.where(allowed, exp(s), mpmath.mpf(0))
    return e, np.sum(e, axis=-1, keepdims=True)


def _dropped(x, dropout, seed):
    return x * dropout_mask(x.shape, np.dtype(float), dropout, seed, like=np.empty(0)).astype(object) if dropout else x


def _attention(query, key, value, mask=None, scale=1.0, causal=False, dropout=0.0, seed=0):
    e, total = _weights(query, key, value, mask, scale, causal)
    weights = e / np.where(total == 0, mpmath.mpf(1), total)
    logs = np.where(total == 0, -mpmath.inf, log(np.where(total == 0, mpmath.mpf(1), total)))
    return np.matmul(_dropped(weights, dropout, seed), value), logs[..., 0]


def _attention_gradients(d, query, key, value, mask=None, scale=1.0, causal=False, dropout=0.0, seed=0, less=_less):
    e, total = _weights(query, key, value, mask, scale, causal)
    weights = e / np.where(total == 0, mpmath.mpf(1), total)
    by_weights = _dropped(np.matmul(less(d), _transposed(less(value))), dropout, seed)
    slope = weights * less(by_weights, np.sum(weights * by_weights, axis=-1, keepdims=True)) * scale
    found = (
        np.matmul(slope, less(key)),
        np.matmul(_transposed(slope), less(query)),
        np.matmul(_transposed(_dropped(weights, dropout, seed)), less(d)),
    )
    return tuple(_sum_to(a, x.shape) for a, x in zip(found, (query, key, value), strict=True))


def _rotate_pairs(x, cosine, sine, interleaved=False):
    out, half = x.copy(), x.shape[-1] // 2
    for i in range(half):
        a, b = (2 * i, 2 * i + 1) if interleaved else (i, half + i)
        out[..., a] = x[..., a] * cosine[..., i] - x[..., b] * sine[..., i]
        out[..., b] = x[..., b] * cosine[..., i] + x[..., a] * sine[..., i]
    return out


#: By the operation's name.
REFERENCES = {
    # elementwise
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "remainder": lambda a, b: a - b * floor(a / b),
    "reciprocal": lambda x: 1 / x,
    "negative": lambda x: -x,
    "power": lambda a, b: a**b,
    "square": lambda x: x * x,
    "abs": lambda x: np.where(x < 0, -x, x),
    "sign": lambda x: np.where(x < 0, mpmath.mpf(-1), np.where(x > 0, mpmath.mpf(1), mpmath.mpf(0))),
    "floor": floor,
    "ceil": ceil,
    "trunc": lambda x: np.where(x < 0, ceil(x), floor(x)),
    "round": nint,
    "exp": exp,
    "expm1": lambda x: exp(x) - 1,
    "log": log,
    "log1p": lambda x: log(1 + x),
    "sqrt": sqrt,
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "asin": asin,
    "acos": acos,
    "atan": atan,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "asinh": asinh,
    "acosh": acosh,
    "atanh": atanh,
    "erf": erf,
    "maximum": lambda a, b: np.where(a > b, a, b),
    "minimum": lambda a, b: np.where(a < b, a, b),
    "clip": lambda x, low=None, high=None: np.minimum(
        np.maximum(x, -mpmath.inf if low is None else low), mpmath.inf if high is None else high
    ),
    "where": lambda condition, a, b: condition * a + ~condition * b,
    "copy": lambda x: x,
    "astype": lambda x, dtype: x,
    "transfer": lambda x, device, source: x,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "logical_and": lambda a, b: (a != 0) & (b != 0),
    "logical_or": lambda a, b: (a != 0) | (b != 0),
    "logical_xor": lambda a, b: (a != 0) ^ (b != 0),
    "logical_not": lambda x: x == 0,
    "isnan": isnan,
    "isinf": isinf,
    # shape
    "reshape": np.reshape,
    "transpose": np.transpose,
    "swapaxes": np.swapaxes,
    "squeeze": np.squeeze,
    "expand_dims": np.expand_dims,
    "broadcast_to": np.broadcast_to,
    "sum_to": _sum_to,
    "concatenate": lambda *arrays, axis=0: np.concatenate(arrays, axis),
    "pad": lambda x, widths, value=0, mode="constant": np.pad(
        x, widths, mode, **({"constant_values": value} if mode == "constant" else {})
    ),
    "flip": np.flip,
    "tril": lambda x, k=0: _where_diagonal(lambda d: d <= k, x),
    "triu": lambda x, k=0: _where_diagonal(lambda d: d >= k, x),
    # index
    "getitem": lambda x, index: x[index],
    "embedding": lambda weight, indices, padding_idx=None: weight[indices],
    "put_add": _put_add,
    "put": _put,
    "sort": lambda x, axis=-1: (np.sort(x, axis), np.argsort(x, axis, stable=True)),
    "topk": _topk,
    "argsort": lambda x, axis=-1: np.argsort(x, axis, stable=True),
    "take": np.take,
    "take_along_axis": np.take_along_axis,
    # linear
    "matmul": np.matmul,
    "linear": _linear,
    "einsum": _einsum,
    "channel_sums": lambda x, axis: np.sum(x, axis=tuple(a for a in range(x.ndim) if a != axis % x.ndim)),
    # reduce
    "sum": lambda x, axis=None, keepdims=False: np.sum(x, axis=axis, keepdims=keepdims),
    "mean": _mean,
    "max": lambda x, axis=None, keepdims=False: np.max(x, axis=axis, keepdims=keepdims),
    "min": lambda x, axis=None, keepdims=False: np.min(x, axis=axis, keepdims=keepdims),
    "var": _var,
    "std": lambda *args, **kwargs: sqrt(_var(*args, **kwargs)),
    "prod": lambda x, axis=None, keepdims=False: np.prod(x, axis=axis, keepdims=keepdims),
    "cumsum": np.cumsum,
    "logsumexp": lambda x, axis=None, keepdims=False: log(np.sum(exp(x), axis=axis, keepdims=keepdims)),
    "norm": lambda x, p=2, axis=None, keepdims=False: (
        np.sum(abs(x) ** p, axis=axis, keepdims=keepdims) ** (mpmath.mpf(1) / p)
    ),
    "argmax": lambda x, axis=None, keepdims=False: np.argmax(x, axis, keepdims=keepdims),
    "argmin": lambda x, axis=None, keepdims=False: np.argmin(x, axis, keepdims=keepdims),
    # activation
    "sigmoid": _sigmoid,
    "relu": lambda x: np.where(x > 0, x, mpmath.mpf(0)),
    "softmax": _softmax,
    "log_softmax": lambda x, axis=-1: log(_softmax(x, axis)),
    "softplus": lambda x: log(1 + exp(x)),
    "gelu": _gelu,
    "normal_cdf": ncdf,
    "silu": lambda x: x * _sigmoid(x),
    "leaky_relu": lambda x, slope=0.01: np.where(x > 0, x, slope * x),
    "elu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * (exp(x) - 1)),
    "selu": lambda x, alpha=1.6732632423543772, gamma=1.0507009873554805: (
        gamma * np.where(x > 0, x, alpha * (exp(x) - 1))
    ),
    "celu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * (exp(x / alpha) - 1)),
    "prelu": lambda x, weight: np.where(x > 0, x, weight * x),
    "hardsigmoid": lambda x, alpha=1 / 6, beta=0.5: np.minimum(
        np.maximum(alpha * x + beta, mpmath.mpf(0)), mpmath.mpf(1)
    ),
    "hardswish": lambda x: x * np.minimum(np.maximum((x + 3) / 6, mpmath.mpf(0)), mpmath.mpf(1)),
    "mish": lambda x: x * tanh(log(1 + exp(x))),
    "softsign": lambda x: x / (1 + abs(x)),
    # loss, cross-entropy
    "one_hot": lambda labels, classes, dtype="float32": np.equal(labels[..., None], np.arange(classes)).astype(dtype),
    "mse_loss": lambda prediction, target, reduction="mean": _reduced((prediction - target) ** 2, reduction),
    "l1_loss": lambda prediction, target, reduction="mean": _reduced(abs(prediction - target), reduction),
    "probability_cross_entropy": _cross_entropy,
    "softmax_cross_entropy": _softmax_cross_entropy,
    "dropped": lambda x, mask: x * mask,
    "mean_of_losses": lambda losses, n: np.sum(losses) / n,
    "probability_binary_cross_entropy": _binary_cross_entropy,
    "sigmoid_binary_cross_entropy": lambda z, *rest: _binary_cross_entropy(_sigmoid(z), *rest),
    "log_likelihood": lambda probability: np.sum(log(probability)),
    # adversarial
    "discriminator_loss": lambda real, fake, true=1.0: (
        _binary_cross_entropy(_sigmoid(real), true) + _binary_cross_entropy(_sigmoid(fake), 0)
    ),
    "generator_loss": lambda fake: _binary_cross_entropy(_sigmoid(fake), 1),
    "critic_loss": lambda real, fake: _mean(fake) - _mean(real),
    "gradient_penalty": lambda gradients: _mean(
        (sqrt(np.sum(gradients.reshape(len(gradients), -1) ** 2, axis=1)) - 1) ** 2
    ),
    # compression
    "distillation_loss": _distillation_loss,
    "fake_quantize": lambda x, scale, zero=0, low=-128, high=127: (
        (np.minimum(np.maximum(nint(x / scale) + zero, low), high) - zero) * scale
    ),
    # convolution, pooling, normalisation
    "conv2d": _conv2d,
    "conv2d_input": _conv2d_input,
    "conv2d_weight": _conv2d_weight,
    "max_pool2d": _max_pool2d,
    "max_pool2d_indices": _max_pool2d_indices,
    "pool_gather": _pool_gather,
    "pool_scatter": _pool_scatter,
    "sum_pool2d": _sum_pool2d,
    "sum_unpool2d": _sum_unpool2d,
    "standardize": _standardize,
    "standardize_input": _standardize_input,
    "standardize_weight": _standardize_weight,
    # recurrent layers
    "rnn_layer": partial(_recurrent, _rnn_step, 0, 1),
    "lstm_layer": partial(_recurrent, _lstm_step, 2, 2),
    "gru_layer": partial(_recurrent, _gru_step, 2, 1),
    # attention
    "attention": _attention,
    "attention_gradients": _attention_gradients,
    "thirds": lambda x: tuple(np.split(x, 3, axis=-1)),
    "rotate_pairs": _rotate_pairs,
}


def _of_absolutes(reference):
    def magnitude(*args, **kwargs):
        return reference(*(abs(a) if isinstance(a, np.ndarray) and a.dtype == object else a for a in args), **kwargs)

    return magnitude


#: For operations that add up terms of either sign: how great the terms are, added up without their signs. Where terms
#: cancel, no order of summation in float64 gives the result to its own last place.
MAGNITUDES = {
    name: _of_absolutes(REFERENCES[name])
    for name in (
        "sum sum_to mean cumsum put_add matmul linear einsum channel_sums conv2d conv2d_input conv2d_weight "
        "pool_scatter sum_pool2d sum_unpool2d mean_of_losses"
    ).split()
}
MAGNITUDES["hardsigmoid"] = lambda x, alpha=1 / 6, beta=0.5: alpha * abs(x) + beta
MAGNITUDES["hardswish"] = lambda x: abs(x) * (abs(x) + 3) / 6
MAGNITUDES["rotate_pairs"] = lambda x, cosine, sine, interleaved=False: (
    _rotate_pairs(abs(x), abs(cosine), -abs(sine), interleaved)
    + _rotate_pairs(abs(x), 0 * cosine, 2 * abs(sine), interleaved)
)
MAGNITUDES["attention"] = lambda query, key, value, *settings: _attention(query, key, abs(value), *settings)
for _name in (
    "standardize",
    "standardize_input",
    "standardize_weight",
    "softmax_cross_entropy",
    "attention_gradients",
):
    MAGNITUDES[_name] = partial(REFERENCES[_name], less=_sizes)


def _sums_behind_a_bend(reference):
    """Sums that pass through functions no steeper than 1 and no greater than 1: their errors are those of numbers of size 1."""

    def magnitude(*args):
        return tuple(np.maximum(abs(y), 1) for y in reference(*args))

    return magnitude


for _name in ("lstm_layer", "gru_layer"):
    MAGNITUDES[_name] = _sums_behind_a_bend(REFERENCES[_name])
MAGNITUDES["rnn_layer"] = lambda *args: (
    _of_absolutes(REFERENCES["rnn_layer"])(*args)
    if args[-1] == "relu"
    else _sums_behind_a_bend(REFERENCES["rnn_layer"])(*args)
)
