"""Every differentiable operation, a topic a file, each beside its formula and its rule."""

from nnscratch.autograd import OPS, Op
from nnscratch.ops import activation, conv, elementwise, index, linear, loss, normalise, pool, reduce, shape

for _module in (elementwise, shape, reduce, index, linear, activation, conv, pool, loss, normalise):
    for _value in vars(_module).values():
        if isinstance(_value, Op):
            OPS[_value.name] = _value
