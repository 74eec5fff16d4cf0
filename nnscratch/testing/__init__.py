"""For test suites: checks of whole operations, and arguments to check them with.

`check_operation` runs an operation of the table, or one of your own, through everything that its rows can show;
`exercise` makes a test of an answer that a notebook's reader is to write. The other names are strategies for hypothesis, which has to be installed for them: shapes, arrays, memory layouts, arguments
of convolution and pooling, labels and probabilities that fit together by construction.
"""

import importlib as _importlib

# Found when first used: what needs mpmath or hypothesis loads them only then.
_LATER = {
    "check_operation": "nnscratch.testing.operations",
    "exercise": "nnscratch.testing.exercises",
    "arrays": "nnscratch.testing.strategies",
    "away_from_kinks": "nnscratch.testing.strategies",
    "binary_targets": "nnscratch.testing.strategies",
    "broadcastable_shapes": "nnscratch.testing.strategies",
    "conv2d_arguments": "nnscratch.testing.strategies",
    "empty_arrays": "nnscratch.testing.strategies",
    "labels": "nnscratch.testing.strategies",
    "one_hot": "nnscratch.testing.strategies",
    "pool2d_arguments": "nnscratch.testing.strategies",
    "probabilities": "nnscratch.testing.strategies",
    "strided": "nnscratch.testing.strategies",
}


def __getattr__(name):
    if name not in _LATER:
        raise AttributeError(f"nnscratch.testing has no attribute {name!r}")
    value = getattr(_importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_LATER})
