"""Loss scaling: gradients kept within float16's range."""

import numpy as np

from nnscratch import arguments, backend
from nnscratch.autograd import no_grad


class LossScaler:
    r"""A factor of the loss, so that small gradients are not 0 in float16; as large as can be (Micikevicius et al., 2018).

    .. math:: g = \frac{1}{s} \nabla (s L)

    A step by gradients that are not finite is left out, and the factor becomes smaller; after some steps without that it
    becomes larger again. A scaler is part of a training step's state, and so of its checkpoints.

    Parameters
    ----------
    scale : float
        s at first.
    growth : float
        What s is multiplied by after `interval` steps in a row, at least 1.
    backoff : float
        What s is multiplied by where a step is left out, between 0 and 1.
    interval : int
        Counted anew from a step that is left out.
    least : float
        Below which s does not fall (PyTorch's may come to 0).

    Attributes
    ----------
    scale : float
    good : int
        Steps since s was last changed.
    skipped : int
        Steps that were left out.

    Raises
    ------
    TypeError, ValueError
        Where a setting is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w = ns.tensor([1.0], requires_grad=True)
    >>> scaler, optimizer = LossScaler(scale=8.0), ns.optim.SGD([w], lr=0.5)
    >>> scaler.multiply((w * float("inf")).sum()).backward()
    >>> scaler.step(optimizer), w.item(), scaler.scale
    (False, 1.0, 4.0)
    """

    def __init__(self, scale=65536.0, growth=2.0, backoff=0.5, interval=2000, least=1.0):
        name, most = "LossScaler", 2.0**100
        self.least = arguments.number(name, "least", least, 0, most, "(]")
        self.scale = arguments.number(name, "scale", scale, self.least, most)
        self.growth = arguments.number(name, "growth", growth, 1, most)
        self.backoff = arguments.number(name, "backoff", backoff, 0, 1, "()")
        self.interval = arguments.count(name, "interval", interval)
        self.good = self.skipped = 0

    def multiply(self, loss):
        """The loss times s."""
        with np.errstate(over="ignore"):  # the step is left out then
            return loss * loss.dtype.type(self.scale)

    def step(self, optimizer):
        """Divide the gradients by s and let the optimiser step, where they are finite; whether that was so.

        Raises
        ------
        FloatingPointError
            Where they are not, and s is the least already.
        """
        params = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        finite = all(bool(np.isfinite(backend.of(p.grad.data).as_result(p.grad.data)).all()) for p in params)
        if finite:
            with no_grad():
                for p in params:
                    p.grad[...] = p.grad.data * p.dtype.type(1 / self.scale)
            optimizer.step()
            self.good += 1
            if self.good == self.interval:
                self.scale, self.good = min(self.scale * self.growth, 2.0**100), 0
        elif self.scale == self.least:
            raise FloatingPointError(
                f"LossScaler: gradients are not finite at the least scale, {self.least:g}; lower the learning rate, or use bfloat16"
            )
        else:
            self.scale, self.good = max(self.scale * self.backoff, self.least), 0
            self.skipped += 1
            optimizer.zero_grad()
        return finite

    def state_dict(self):
        """s and the counts."""
        return {"scale": self.scale, "good": self.good, "skipped": self.skipped}

    def load_state_dict(self, state):
        """Take over what `state_dict` returned.

        Raises
        ------
        TypeError, ValueError
            Where it is not such.
        """
        if not isinstance(state, dict) or state.keys() != self.state_dict().keys():
            raise ValueError("LossScaler: the state is of something else; pass what state_dict returned")
        scale = arguments.number("LossScaler", "scale", state["scale"], self.least, 2.0**100)
        good, skipped = (arguments.count("LossScaler", name, state[name], 0) for name in ("good", "skipped"))
        self.scale, self.good, self.skipped = scale, good, skipped
