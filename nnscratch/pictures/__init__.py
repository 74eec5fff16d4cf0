"""Pictures of networks and of their learning, by matplotlib: one function each, which returns the figure.

A figure shows itself in a notebook, whether or not pyplot was imported; ``.savefig(path)`` writes it. Colours are
those of Okabe and Ito (2008), which the colour-blind tell apart, and lines and points differ in form as well, for
printing in grey. Models are run in evaluation mode without a graph, and left as they were.
"""

from nnscratch.lazy import attach as _attach

# Found when first used: matplotlib loads only then.
_LAZY = {
    "activations": "nnscratch.pictures.images:activations",
    "attention": "nnscratch.pictures.attending:attention",
    "confusion": "nnscratch.pictures.classes:confusion",
    "curves": "nnscratch.pictures.learning:curves",
    "decision_animation": "nnscratch.pictures.boundaries:decision_animation",
    "decision_boundary": "nnscratch.pictures.boundaries:decision_boundary",
    "filters": "nnscratch.pictures.images:filters",
    "histograms": "nnscratch.pictures.learning:histograms",
    "learning_rates": "nnscratch.pictures.learning:learning_rates",
    "mistakes": "nnscratch.pictures.classes:mistakes",
    "roc": "nnscratch.pictures.classes:roc",
    "sheet": "nnscratch.pictures.sheets:sheet",
    "timeline": "nnscratch.pictures.programs:timeline",
}
__getattr__, __dir__ = _attach(__name__, _LAZY)
