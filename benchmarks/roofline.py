"""How fast this machine could do a step: its sgemm rate and copy bandwidth, and the work of each operation.

An operation is a pair (flops, bytes): the multiplications and additions it needs, and the bytes of the arrays it must
read and write once each. The roofline of a step is the sum over its operations of the longer of flops ÷ rate and
bytes ÷ bandwidth. Operations are those that the network is written in, so a kernel that fuses two may go below it.
"""

import statistics
from math import prod
from time import perf_counter

FLOAT = 4  # bytes


def seconds(operations, rate, bandwidth):
    """The roofline of a step.

    Parameters
    ----------
    operations : iterable of (flops, bytes)
    rate : float
        Flops per second.
    bandwidth : float
        Bytes per second.

    Examples
    --------
    >>> seconds([(100, 10), (0, 40)], rate=50, bandwidth=20)
    4.0
    """
    return sum(max(flops / rate, size / bandwidth) for flops, size in operations)


def elementwise(count, reads=1, writes=1, flops=1):
    """A pass over arrays of `count` elements, of which `reads` are read and `writes` written."""
    return count * flops, FLOAT * count * (reads + writes)


def product(m, k, n):
    """A matrix product (m, k) @ (k, n)."""
    return 2 * m * k * n, FLOAT * (m * k + k * n + m * n)


def linear(n, inputs, outputs, first=False):
    """A dense layer with its bias, forward and backward; a network's `first` needs no gradient of its input."""
    one = product(n, inputs, outputs)
    bias = (n * outputs, FLOAT * n * outputs)
    return [one, one, bias] + ([] if first else [one])


def convolution(x, weight, y, first=False):
    """A convolution with its bias, forward and backward, from the shapes of its arrays."""
    flops = 2 * prod(y) * prod(weight[1:])
    one = flops, FLOAT * (prod(x) + prod(weight) + prod(y))
    bias = (prod(y), FLOAT * prod(y))
    return [one, one, bias] + ([] if first else [one])


def activation(count):
    """A rectifier or sigmoid, forward and backward (which reads the result and its gradient)."""
    return [elementwise(count), elementwise(count, reads=2)]


def pooling(inputs, outputs):
    """Max pooling, forward and backward: places of the maxima are written, and read again."""
    return [(inputs, FLOAT * (inputs + 2 * outputs)), (inputs, FLOAT * (2 * outputs + inputs))]


def loss(count):
    """A loss of `count` values and its gradient."""
    return [elementwise(count, writes=0, flops=4), elementwise(count, flops=2)]


def sgd(parameters):
    """A step of gradient descent."""
    return [elementwise(parameters, reads=2, flops=2)]


def adam(parameters):
    """A step of Adam: reads parameter, gradient and both means, writes all but the gradient."""
    return [elementwise(parameters, reads=4, writes=3, flops=12)]


def forward_only(operations):
    """The first of each layer's operations: what is left of a step without its backward half."""
    return [layer[0] for layer in operations]


class Rates:
    """How fast NumPy multiplies matrices and copies memory in this process."""

    def __init__(self, quick=False):
        import numpy as np

        n, megabytes = (512, 16) if quick else (1024, 64)
        a, b, product = (np.ones((n, n), np.float32) for _ in range(3))
        source, target = (np.ones(megabytes * 2**20 // FLOAT, np.float32) for _ in range(2))
        self.multiply, self.flops = lambda: np.matmul(a, b, out=product), 2 * n**3
        self.copy, self.bytes = lambda: np.copyto(target, source), 2 * source.nbytes
        self.version = np.__version__

    def burst(self):
        """``"rate"``, in flops per second, and ``"bandwidth"``, in bytes per second (those read and those written)."""
        return {"rate": self.flops / _median(self.multiply), "bandwidth": self.bytes / _median(self.copy)}


def _median(function, count=3):
    function()
    times = []
    for _ in range(count):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return statistics.median(times)
