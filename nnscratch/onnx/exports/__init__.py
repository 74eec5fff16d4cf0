"""nnscratch's operations and layers as nodes of ONNX, a topic a file; importing this fills the table."""

from nnscratch.onnx.exports import elementwise, layers, recurrent, shapes
from nnscratch.onnx.exports.table import EXPORTS

__all__ = ["EXPORTS", "elementwise", "layers", "recurrent", "shapes"]
