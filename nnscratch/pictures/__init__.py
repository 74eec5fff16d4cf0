"""Pictures of networks and of their learning, by matplotlib: one function each, which returns the figure.

A figure shows itself in a notebook, whether or not pyplot was imported; ``.savefig(path)`` writes it. Colours are
those of Okabe and Ito (2008), which the colour-blind tell apart, and lines and points differ in form as well, for
printing in grey. Models are run in evaluation mode without a graph, and left as they were.
"""

import importlib as _importlib

# Found when first used: matplotlib loads only then.
_LATER = {
    "activations": "nnscratch.pictures.images",
    "confusion": "nnscratch.pictures.classes",
    "curves": "nnscratch.pictures.learning",
    "decision_animation": "nnscratch.pictures.boundaries",
    "decision_boundary": "nnscratch.pictures.boundaries",
    "filters": "nnscratch.pictures.images",
    "histograms": "nnscratch.pictures.learning",
    "mistakes": "nnscratch.pictures.classes",
    "roc": "nnscratch.pictures.classes",
}


def __getattr__(name):
    if name not in _LATER:
        raise AttributeError(f"nnscratch.pictures has no attribute {name!r}")
    value = getattr(_importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_LATER})
