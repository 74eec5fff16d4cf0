#!/usr/bin/env bash
# Resize by scales that leave a fraction of a place: aligned corners are another network in onnxruntime than in the standard's own cases.
# Four places by 0.6 are two. The standard's cases divide by 4 * 0.6 - 1 = 1.4, and the second of the two lies between the third and the
# fourth; onnxruntime divides by 2 - 1, and it is the fourth. Where scales give whole numbers, and where sizes are given, both agree.
#
# Guess before: onnxruntime computes what the standard's case test_resize_downsample_scales_linear_align_corners states.
# Seen with onnx 1.23.2 and onnxruntime 1.32.0, at opsets 13, 19 and 23.
# What follows for nnscratch: `ns.onnx.load` computes what the standard's cases state; onnxruntime is its oracle elsewhere.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
found=$("$folder/environment/bin/python" -W ignore - 2>"$folder/errors" <<'PROGRAM' || cat "$folder/errors"
import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

x = np.array([[[[1.0, 2.0, 3.0, 4.0]]]], np.float32)
print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
for scale in (0.6, 0.5):
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear", coordinate_transformation_mode="align_corners")
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (("x", x.shape), ("y", None))]
    scales = numpy_helper.from_array(np.array([1, 1, 1, scale], np.float32), "s")
    graph = helper.make_graph([node], "g", values[:1], values[1:], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    (theirs,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    (standard,) = ReferenceEvaluator(model).run(None, {"x": x})
    print("by", scale, "onnxruntime", theirs.ravel().round(3).tolist(), "the standard's evaluator", standard.ravel().round(3).tolist())
PROGRAM
)
expected="onnx 1.23.2 onnxruntime 1.32.0
by 0.6 onnxruntime [1.0, 4.0] the standard's evaluator [1.0, 3.1429998874664307]
by 0.5 onnxruntime [1.0, 4.0] the standard's evaluator [1.0, 4.0]"
echo "$found"
[ "$found" = "$expected" ] || { echo "this has changed; before it was:"; echo "$expected"; exit 1; }
