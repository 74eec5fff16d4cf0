"""For test suites: checks of whole operations, and arguments to check them with.

`check_operation` runs an operation of the table, or one of your own, through everything that its rows can show;
`exercise` makes a test of an answer that a notebook's reader is to write. The other names are strategies for hypothesis, which has to be installed for them: shapes, arrays, memory layouts, arguments
of convolution and pooling, labels and probabilities that fit together by construction.
"""

from nnscratch.lazy import attach as _attach

# Found when first used: what needs mpmath or hypothesis loads them only then.
_LAZY = {
    "check_operation": "nnscratch.testing.operations:check_operation",
    "exercise": "nnscratch.testing.exercises:exercise",
    "arrays": "nnscratch.testing.strategies:arrays",
    "away_from_kinks": "nnscratch.testing.strategies:away_from_kinks",
    "binary_targets": "nnscratch.testing.strategies:binary_targets",
    "broadcastable_shapes": "nnscratch.testing.strategies:broadcastable_shapes",
    "conv2d_arguments": "nnscratch.testing.strategies:conv2d_arguments",
    "empty_arrays": "nnscratch.testing.strategies:empty_arrays",
    "labels": "nnscratch.testing.strategies:labels",
    "one_hot": "nnscratch.testing.strategies:one_hot",
    "pool2d_arguments": "nnscratch.testing.strategies:pool2d_arguments",
    "probabilities": "nnscratch.testing.strategies:probabilities",
    "strided": "nnscratch.testing.strategies:strided",
}
__getattr__, __dir__ = _attach(__name__, _LAZY)
