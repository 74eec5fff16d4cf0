"""What a GPU is asked about values, and what it has computed, without waiting for it at each question.

A GPU works through a queue of what it is asked for. To look at a value the host has to wait until the queue is empty, and then
the GPU has nothing to do until it is asked for more: with small batches that is most of the time. So a check of values
(is each label a class?) is only put into the queue. What it finds stays on the GPU and is raised when the host next
waits for any other reason. Until then optimisers' steps do nothing, so that nothing is trained by what was refused.
"""

import time

import numpy as np

from nnscratch.kernels.bounds import cuda as bounds

#: Seconds between two looks at results that are read as they come.
EVERY = 0.1
#: How many bytes of results may lie on the GPU before they are read.
MOST_BYTES = 1 << 26


class Deferred:
    """The part of a GPU's backend that looks at values."""

    def __init__(self):
        #: What to raise for each check that was put into the queue since the last look.
        self._errors: list = []

    def check(self, array, low, high, error):
        """Have what ``error(value)`` returns raised, at the latest when the host next waits, if a value is not from `low` to `high`."""
        if array.size:
            if len(self._errors) == bounds.MOST:
                self._look()
            self.kernel("bounds.outside")(array, low, high, len(self._errors))
            self._errors.append(error)

    def _look(self):
        """Raise what the checks have found."""
        if not self._errors:
            return
        errors, self._errors = self._errors, []
        found = bounds.found()
        if found is not None:
            number, value = found
            error = errors[number](value)
            raise type(error)(f"{error} (found when the GPU was next waited for)")

    def readback(self, results):
        """Tuples of results as they are computed, their arrays as NumPy's: many are read at once, and some time after.

        Parameters
        ----------
        results : iterable of tuples
            Of arrays from here, or of anything else, which stays as it is; in each place always of one kind.
        """
        kept, size, due = [], 0, time.monotonic() + EVERY
        for result in results:
            kept.append(result)
            size += sum(a.nbytes for a in result if isinstance(a, self.array))
            if size > MOST_BYTES or time.monotonic() > due:
                yield from self._read(kept)
                kept, size, due = [], 0, time.monotonic() + EVERY
        if kept:
            yield from self._read(kept)

    def _read(self, kept):
        """Tuples of results with NumPy's arrays, each place's by one copy."""
        places = []
        for arrays in zip(*kept, strict=True):
            if isinstance(arrays[0], self.array):
                whole = self.to_numpy(np.concatenate([a.reshape(-1) for a in arrays]))
                parts = np.split(whole, np.cumsum([a.size for a in arrays])[:-1])
                arrays = [part.reshape(a.shape) for part, a in zip(parts, arrays, strict=True)]
            places.append(arrays)
        return zip(*places, strict=True)
