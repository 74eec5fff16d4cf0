"""ONNX operators as calls of nnscratch's operations, a topic a file; importing this fills the table."""

from nnscratch.onnx.operators import (
    attention,
    control,
    elementwise,
    losses,
    normalisation,
    picking,
    products,
    quantised,
    recurrent,
    reductions,
    resizing,
    shapes,
    sliding,
    training,
)
from nnscratch.onnx.table import OPERATORS

__all__ = [
    "OPERATORS",
    "attention",
    "control",
    "elementwise",
    "losses",
    "normalisation",
    "picking",
    "products",
    "quantised",
    "recurrent",
    "reductions",
    "resizing",
    "shapes",
    "sliding",
    "training",
]
