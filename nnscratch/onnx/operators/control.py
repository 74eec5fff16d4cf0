"""Operators whose attributes are graphs: branches and loops."""

import numpy as np

from nnscratch.onnx.table import need, operator
from nnscratch.ops import shape
from nnscratch.tensor import tensor

MOST_STEPS = 250_000


@operator("If")
def _(condition, *, then_branch, else_branch, at):
    return at.run(then_branch if bool(condition) else else_branch, ())


@operator("Loop")
def _(trips=None, condition=None, *carried, body, at):
    count = None if trips is None else int(trips)
    go_on = True if condition is None else bool(condition)
    need(count is None or count <= MOST_STEPS or _may_end(body), f"a Loop of {count} steps")
    carried, steps = list(carried), []
    while go_on and (count is None or len(steps) < count):
        need(len(steps) < MOST_STEPS, f"a Loop of more than {MOST_STEPS} steps")
        number = tensor(np.array(len(steps), np.int64))
        going, *results = at.run(body, (number, tensor(np.array(True)), *carried))
        go_on, carried = bool(going), results[: len(carried)]
        steps.append(results[len(carried) :])
    need(steps or len(carried) == at.outputs, "the rows of a Loop without steps")
    return (*carried, *(shape.stack(rows) for rows in zip(*steps, strict=True)))


def _may_end(body):
    """Whether a loop's body decides whether there is another step, and does not only pass on what it was told."""
    name = body.outputs[0]
    makers = {out: step for step in body.steps for out in step.outputs}
    while name in makers and makers[name].kind in ("Identity", "Cast"):
        (name,) = makers[name].inputs
    return name in makers


@operator("Scan")
def _(
    *inputs, body, num_scan_inputs, scan_input_axes=None, scan_input_directions=None, scan_output_axes=None,
    scan_output_directions=None, at,
):  # fmt: skip
    need(at.opset >= 9, "Scan of opset 8")
    carried, given = list(inputs[: len(inputs) - num_scan_inputs]), inputs[len(inputs) - num_scan_inputs :]
    axes = scan_input_axes or [0] * len(given)
    backwards = scan_input_directions or [0] * len(given)
    length = given[0].shape[axes[0]]
    need(length, "a Scan over nothing")
    steps = []
    for t in range(length):
        rows = [
            x[(slice(None),) * (axis % x.ndim) + (length - 1 - t if back else t,)]
            for x, axis, back in zip(given, axes, backwards, strict=True)
        ]
        results = at.run(body, (*carried, *rows))
        carried = results[: len(carried)]
        steps.append(results[len(carried) :])
    made = list(zip(*steps, strict=True))
    axes = scan_output_axes or [0] * len(made)
    backwards = scan_output_directions or [0] * len(made)
    return (
        *carried,
        *(
            shape.stack(rows[::-1] if back else rows, axis)
            for rows, axis, back in zip(made, axes, backwards, strict=True)
        ),
    )
