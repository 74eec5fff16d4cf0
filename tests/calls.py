"""How many Python functions a call runs through: what it costs beside the arithmetic.

``python tests/calls.py`` prints them for a convolution of the MNIST network.
"""

import sys


def calls(function, *args):
    """The Python functions that a call runs through, the called one first, as ``file:name``.

    Parameters
    ----------
    function : callable
    *args
        Its arguments. It is called twice before, so that what is done once only does not count.
    """
    found = []

    def profile(frame, event, argument):
        if event == "call":
            code = frame.f_code
            found.append(f"{code.co_filename.rpartition('/')[2]}:{code.co_qualname}")

    for _ in range(2):
        function(*args)
    sys.setprofile(profile)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
    return found


def count_calls(function, *args):
    """How many Python functions a call runs through, itself among them."""
    return len(calls(function, *args))


if __name__ == "__main__":
    import numpy as np

    import nnscratch as ns

    layer = ns.nn.Conv2d(32, 64, 3)
    x = ns.tensor(np.zeros((64, 32, 13, 13), np.float32))
    print("\n".join(calls(layer.forward, x)))
