"""Which elements meet in one element of a convolution, of its gradients, or of a pooling: pairs of arrays whose products are added."""

import numpy as np

from nnscratch.ops.conv import geometry


class _Axis:
    """Windows along one axis of an image: of `k` cells `d` apart, `s` from one to the next, with `before` cells of padding."""

    def __init__(self, n, k, s, before, d, out):
        self.n, self.k, self.s, self.before, self.d, self.out = n, k, s, before, d, out

    def of_window(self, i):
        """The cells of a window that lie in the image, and their numbers in it."""
        taps = np.arange(self.k)
        return self._inside(i * self.s - self.before + taps * self.d, taps)

    def of_tap(self, u):
        """The windows whose cell of that number lies in the image, and where that is."""
        windows = np.arange(self.out)
        cells, windows = self._inside(windows * self.s - self.before + u * self.d, windows)
        return windows, cells

    def of_cell(self, h):
        """The windows that a cell lies in, and its numbers in them."""
        taps = np.arange(self.k)[::-1]
        start = h + self.before - taps * self.d
        there = (start % self.s == 0) & (start >= 0) & (start < self.out * self.s)
        return start[there] // self.s, taps[there]

    def _inside(self, cells, others):
        there = (cells >= 0) & (cells < self.n)
        return cells[there], others[there]


class Windows:
    """The windows over images of height and width `size`; settings as those of `conv2d` and `max_pool2d`.

    Examples
    --------
    >>> windows = Windows((4, 4), (2, 2), stride=2)
    >>> windows.cells((1, 0))
    (array([2, 3]), array([0, 1]))
    """

    def __init__(self, size, kernel, stride=1, padding=0, dilation=1, ceil_mode=False, groups=1):
        kernel = tuple(int(k) for k in np.broadcast_to(kernel, 2))
        stride, edges, dilation, out = geometry("windows", size, kernel, stride, padding, dilation, ceil_mode)
        self.axes = [
            _Axis(n, k, s, before, d, o)
            for n, k, s, (before, _), d, o in zip(size, kernel, stride, edges, dilation, out, strict=True)
        ]
        self.kernel, self.groups = kernel, groups

    def _both(self, method, places):
        pairs = [getattr(axis, method)(place) for axis, place in zip(self.axes, places, strict=True)]
        return [p for p, _ in pairs], [q for _, q in pairs]

    def cells(self, window):
        """The rows and the columns that a window covers."""
        return tuple(self._both("of_window", window)[0])

    def covering(self, cell):
        """The windows that cover a cell, down and across, and the cell's numbers in them."""
        return self._both("of_cell", cell)

    def convolved(self, x, weight, index):
        """What one element of ``conv2d(x, weight)`` adds up."""
        n, o, *window = index
        each = weight.shape[1]
        first = o // (len(weight) // self.groups) * each
        cells, taps = self._both("of_window", window)
        return x[n][np.ix_(range(first, first + each), *cells)], weight[o][np.ix_(range(each), *taps)]

    def by_input(self, d, weight, index):
        """What one element of conv2d's gradient by its input adds up, `d` being that by its result."""
        n, c, *cell = index
        each, filters = weight.shape[1], len(weight) // self.groups
        own = range(c // each * filters, (c // each + 1) * filters)
        windows, taps = self.covering(cell)
        return d[n][np.ix_(own, *windows)], weight[:, c % each][np.ix_(own, *taps)]

    def by_weight(self, d, x, index):
        """What one element of conv2d's gradient by its weight adds up."""
        o, c, *tap = index
        channel = o // (d.shape[1] // self.groups) * (x.shape[1] // self.groups) + c
        windows, cells = self._both("of_tap", tap)
        images = range(len(x))
        return d[:, o][np.ix_(images, *windows)], x[:, channel][np.ix_(images, *cells)]
