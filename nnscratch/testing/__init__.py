"""For test suites: checks of whole operations, and arguments to check them with.

`check_operation` runs an operation of the table, or one of your own, through everything that its rows can show.
"""

import importlib as _importlib

# Found when first used: what needs mpmath or hypothesis loads them only then.
_LATER = {
    "check_operation": "nnscratch.testing.operations",
}


def __getattr__(name):
    if name not in _LATER:
        raise AttributeError(f"nnscratch.testing has no attribute {name!r}")
    value = getattr(_importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_LATER})
