"""Operators that are products of matrices, and sums of products."""

from nnscratch.onnx.table import OPERATORS, operator
from nnscratch.ops import linear

OPERATORS["MatMul"] = linear.matmul


@operator("Einsum")
def _(*x, equation):
    return linear.einsum(equation, *x)


@operator("Gemm")
def _(a, b, c=None, *, alpha=1.0, beta=1.0, transA=0, transB=0, broadcast=1):
    if transB and not transA and alpha == beta == 1.0 and c is not None and c.shape == b.shape[:1]:
        return linear.linear(a, b, c)  # a layer of neurons as it is written here, which is quicker
    y = (a.T if transA else a) @ (b.T if transB else b)
    y = y if alpha == 1.0 else alpha * y
    return y if c is None else y + (c if beta == 1.0 else beta * c)
