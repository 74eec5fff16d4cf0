"""Cross-entropy with labels on a GPU, as `nnscratch.kernels.labels` has it; nan for what is no class."""

import numpy as np

from . import runtime
from .numerics import _launch_rows, _sums, _team


def _of_labels(name, z, labels, *results):
    """Launch a kernel of ``rows.cu`` that takes logits and labels; its `results` are arrays to write, or None."""
    xp, rows, classes = runtime.xp(), labels.size, z.shape[-1]
    if rows:
        args = xp.ascontiguousarray(z), xp.ascontiguousarray(labels, np.int64), *results, np.int64(rows), classes
        _launch_rows(name, rows, _team(classes), args, z.dtype)


def label_losses(z, labels, n=None):
    """The loss of each row, or with `n` (a number, or an array of one in float64) their sum divided by it."""
    losses = runtime.xp().empty(labels.shape, z.dtype if n is None else np.float64)
    _of_labels("label_losses", z, labels, *((losses, None) if n is None else (None, losses)))
    return losses if n is None else _sums(losses.reshape(1, losses.size), n, dtype=z.dtype).reshape(())


def label_errors(z, labels):
    """``softmax(z)``, less 1 at each label."""
    errors = runtime.xp().empty(z.shape, z.dtype)
    _of_labels("label_errors", z, labels, errors)
    return errors
