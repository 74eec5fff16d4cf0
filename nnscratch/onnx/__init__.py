"""Networks from ONNX files and into them: `load` reads one as a module, `save` writes one.

The files' format is read and written by the package onnx, an extra of nnscratch's; what they compute is computed by nnscratch.
"""

try:
    import onnx as _onnx
except ImportError:
    raise ImportError(
        "nnscratch.onnx: the package onnx, which knows the format, is not installed; pip install 'nnscratch[onnx]'"
    ) from None

from nnscratch.onnx.loading import load
from nnscratch.onnx.model import Model
from nnscratch.onnx.saving import save

__all__ = ["Model", "load", "save"]
