"""nnscratch: a neural-network engine written from scratch on NumPy.

Tensors and their derivatives are in this namespace, together with NumPy's functions on arrays; networks are in
`nnscratch.nn`, what they are made of in `nnscratch.functional`, optimisers in `nnscratch.optim`.
"""

import os as _os

__version__ = "0.1.0"

# In a checkout the kernels stand beside this package, not inside it; this makes nnscratch.kernels importable there.
if not _os.path.isdir(_os.path.join(__path__[0], "kernels")):
    __path__.append(_os.path.dirname(__path__[0]))

from nnscratch.autograd import GradientError, checkpoint, detect_nan, enable_grad, grad, is_grad_enabled, no_grad, op
from nnscratch.backend import Generator, devices, manual_seed, use_device, use_precision
from nnscratch.creation import arange, eye, ones, rand, randint, randn, randperm, zeros
from nnscratch.environment import check as _check_environment
from nnscratch.gradcheck import gradcheck
from nnscratch.lazy import attach as _attach
from nnscratch.ops.elementwise import *
from nnscratch.ops.index import argsort, getitem, put, put_add, put_along_axis, sort, take, take_along_axis, topk
from nnscratch.ops.linear import einsum, matmul
from nnscratch.ops.reduce import argmax, argmin, cumsum, logsumexp, max, mean, min, norm, prod, std, sum, var
from nnscratch.ops.shape import (
    broadcast_to,
    concatenate,
    expand_dims,
    flatten,
    flip,
    pad,
    reshape,
    split,
    squeeze,
    stack,
    sum_to,
    swapaxes,
    tile,
    transpose,
    tril,
    triu,
)
from nnscratch.tensor import Tensor, tensor

# Found when first used, so that `import nnscratch` stays about as quick as `import numpy`.
_LAZY = {
    "CaptureError": "nnscratch.program:CaptureError",
    "autocast": "nnscratch.casting:autocast",
    "capture": "nnscratch.program:capture",
    "compress": "nnscratch.compress",
    "data": "nnscratch.data",
    "distributed": "nnscratch.distributed",
    "explain": "nnscratch.view.explain:explain",
    "from_dlpack": "nnscratch.interchange:from_dlpack",
    "from_torch": "nnscratch.interchange:from_torch",
    "functional": "nnscratch.functional",
    "graph": "nnscratch.view.graph:graph",
    "hessian": "nnscratch.jacobians:hessian",
    "jacobian": "nnscratch.jacobians:jacobian",
    "jvp": "nnscratch.jacobians:jvp",
    "load": "nnscratch.state_files:load",
    "metrics": "nnscratch.metrics",
    "nn": "nnscratch.nn",
    "onnx": "nnscratch.onnx",
    "optim": "nnscratch.optim",
    "pictures": "nnscratch.pictures",
    "samples": "nnscratch.samples",
    "save": "nnscratch.state_files:save",
    "sklearn": "nnscratch.sklearn",
    "systems": "nnscratch.systems",
    "testing": "nnscratch.testing",
    "to_torch": "nnscratch.interchange:to_torch",
    "training": "nnscratch.training",
    "Trainer": "nnscratch.training:Trainer",
}
__getattr__, __dir__ = _attach(__name__, _LAZY)
_check_environment()
