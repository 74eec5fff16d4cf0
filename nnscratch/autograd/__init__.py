"""The engine: operations, the graph they leave behind, and the backward pass.

In the order in which they are read: `recording` (when operations leave a graph), `graph` (its nodes and what they keep),
`rule` and `operation` (a forward function and its derivatives), `backpropagation` (the backward pass, `grad`), `recomputing`
(`checkpoint`, which has it compute what was not kept); `handles` is
what all of them know of Tensors, which stand a floor higher.
"""

from nnscratch.autograd.backpropagation import ask_rule, backward, fit, grad, pull
from nnscratch.autograd.graph import Node, Result, identity, node_of, nodes_of, raw
from nnscratch.autograd.handles import describe
from nnscratch.autograd.nans import detect_nan
from nnscratch.autograd.operation import OPS, Op, arguments_of, op, record_as
from nnscratch.autograd.recomputing import checkpoint, masked
from nnscratch.autograd.recording import enable_grad, is_grad_enabled, no_grad
from nnscratch.autograd.rule import GradientError, came, on_arrays
