"""Operators that are a step of an optimiser (the standard's domain ``ai.onnx.preview.training``)."""

from nnscratch.onnx.table import need, operator
from nnscratch.optim import SGD
from nnscratch.optim import Adam as AdamOptimizer
from nnscratch.tensor import tensor

DOMAIN = "ai.onnx.preview.training"


def _step(make, inputs, slots):
    """One step of an optimiser: the new parameters, then the new arrays of each slot.

    The inputs are parameters, their gradients and the arrays of each slot, in this order, as many of each.
    """
    n = len(inputs) // (2 + len(slots))
    params, gradients, *arrays = (inputs[i : i + n] for i in range(0, len(inputs), n))
    params = [tensor(p, requires_grad=True) for p in params]
    optimizer = make(params)
    state = {**optimizer.state_dict(), "steps": [1] * n}  # so that the arrays given are not taken for a fresh start's
    for slot, values in zip(slots, arrays, strict=True):
        state.update((f"{i}.{slot}", v.numpy()) for i, v in enumerate(values))
    optimizer.load_state_dict(state)
    for p, g in zip(params, gradients, strict=True):
        p.grad = g
    optimizer.step()
    after = optimizer.state_dict()
    return [p.detach() for p in params] + [tensor(after[f"{i}.{slot}"]) for slot in slots for i in range(n)]


@operator(f"{DOMAIN}::Adam")
def _(lr, t, *inputs, alpha=0.9, beta=0.999, epsilon=1e-6, norm_coefficient=0.0, norm_coefficient_post=0.0):
    need(t.item() == 0 and norm_coefficient_post == 0, "corrections, or decay after the step")
    settings = {"betas": (alpha, beta), "eps": epsilon, "weight_decay": norm_coefficient}
    return _step(lambda params: AdamOptimizer(params, lr.item(), **settings), inputs, ("m", "v"))


@operator(f"{DOMAIN}::Momentum")
def _(lr, t, *inputs, alpha, beta, mode, norm_coefficient):
    need(t.item() == 0 or beta == 1, "a damped gradient")
    settings = {"momentum": alpha, "nesterov": mode == "nesterov", "weight_decay": norm_coefficient}
    return _step(lambda params: SGD(params, lr.item(), **settings), inputs, ("velocity",))
