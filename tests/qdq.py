"""A chain of layers on codes as an ONNX graph of QuantizeLinear and DequantizeLinear, to hold against onnxruntime."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nnscratch import compress, nn
from nnscratch.ops.conv import geometry, pair


class Graph:
    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind, *inputs, **settings):
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"{kind}{name}", **settings))
        return name

    def codes(self, x, output):
        """Numbers rounded to those that have a code."""
        scale, zero = output.numpy()
        places = self.constant(scale), self.constant(np.int8(zero))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, *places), *places)

    def pooled(self, x, output, window=(2, 2), stride=(2, 2)):
        return self.codes(self.node("MaxPool", x, kernel_shape=window, strides=stride), output)

    def weight(self, codes, scale):
        scale = np.broadcast_to(scale, (len(codes),)) if scale.size > 1 else scale.reshape(())
        zero = np.zeros(scale.shape, codes.dtype)
        axis = {"axis": 0} if scale.ndim else {}
        return self.node("DequantizeLinear", self.constant(codes), self.constant(scale), self.constant(zero), **axis)


def model_of(chain, shape):
    """The graph of an `nn.Sequential` of such layers, for a batch of any size of inputs of that shape, as bytes."""
    graph, x, codes = Graph(), "x", None
    size = shape[1:]
    for part in chain:
        if isinstance(part, compress.Quantize):
            x, codes = graph.codes(x, part.output), part.output
        elif isinstance(part, compress.QuantizedConv2d | compress.QuantizedLinear):
            scale = part.scale.numpy()
            inputs = (
                graph.weight(part.weight.numpy(), scale),
                graph.weight(part.bias.numpy(), part.input.numpy()[0] * scale),
            )
            if isinstance(part, compress.QuantizedLinear):
                x = graph.node("Gemm", x, *inputs, transB=1)
            else:
                places = part.weight.shape[2:], part.stride, part.padding, part.dilation
                stride, pads, dilation, size = geometry("conv2d", size, *places)
                settings = {"pads": [p[i] for i in (0, 1) for p in pads], "strides": stride, "dilations": dilation}
                x = graph.node("Conv", x, *inputs, **settings)
            if part.rectified:
                x = graph.node("Relu", x)
            if part.output is not None:
                x, codes = graph.codes(x, part.output), part.output
            if getattr(part, "pooled", False):
                x, size = graph.pooled(x, codes), [n // 2 for n in size]
        elif isinstance(part, compress.QuantizedMaxPool2d):
            window = pair("max_pool2d", "kernel_size", part.settings[0], 1)
            stride, _, _, size = geometry("max_pool2d", size, window, *part.settings[1:])
            x = graph.pooled(x, codes, window, stride)
        elif isinstance(part, nn.Flatten):
            x = graph.node("Flatten", x)
        else:
            assert isinstance(part, nn.Softmax), part
            x = graph.node("Softmax", x)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])]
    outputs = [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n", "m"])]
    made = helper.make_graph(graph.nodes, "chain", inputs, outputs, graph.constants)
    made = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def session(made, threads=1, exact=True):
    """An onnxruntime session; `exact` has products of codes added up without saturation on processors without VNNI."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
