"""All or nothing: what is changed while a state is taken over, or a run made ready, is put back where something is refused."""

import contextlib
import functools

from nnscratch import backend
from nnscratch.autograd import no_grad
from nnscratch.nn import Module
from nnscratch.optim.lr_scheduler import LRScheduler
from nnscratch.optim.optimizer import Optimizer


@contextlib.contextmanager
def all_or_nothing(holders, shells=()):
    """Within this block holders of states take over others; whatever ends it by an error, all are as they were.

    Parameters
    ----------
    holders : iterable
        Modules, optimisers, schedules and callbacks; and other objects, whose attributes are put back, and, where they have a
        state, that. None is passed over.
    shells : iterable
        Objects of which only the attributes are put back.

    Examples
    --------
    >>> import nnscratch as ns
    >>> layer = ns.nn.Linear(1, 1)
    >>> before = layer.weight.item()
    >>> with contextlib.suppress(KeyError), all_or_nothing([layer]):
    ...     layer.load_state_dict({**layer.state_dict(), "weight": layer.weight.numpy() + 1})
    ...     raise KeyError("bias")
    >>> layer.weight.item() == before
    True
    """
    ways_back = [_way_back(holder) for holder in holders if holder is not None] + list(map(_attributes, shells))
    try:
        yield
    except BaseException:
        for back in ways_back:
            back()
        raise


def _way_back(holder):
    """A function that makes an object as it is now."""
    if isinstance(holder, Module):
        return _module(holder)
    if isinstance(holder, Optimizer):
        return _optimizer(holder)
    ways = [_attributes(holder)]
    ways += [
        _way_back(part)
        for part in getattr(holder, "__dict__", {}).values()
        if isinstance(part, LRScheduler | Optimizer)
    ]
    if not type(holder).__module__.startswith("nnscratch.") and hasattr(
        holder, "load_state_dict"
    ):  # ours change nothing in place
        ways.insert(0, functools.partial(holder.load_state_dict, holder.state_dict()))
    return lambda: [back() for back in ways]


def _attributes(holder):
    """A function that gives an object the attributes that it has now."""
    kept = dict(getattr(holder, "__dict__", {}))

    def back():
        for name in getattr(holder, "__dict__", {}).keys() - kept.keys():
            del vars(holder)[name]
        if kept:
            vars(holder).update(kept)

    return back


def _module(module):
    kept = [(t, t.data, backend.of(t.data).asarray(t.data).copy()) for t in (*module.parameters(), *module.buffers())]

    def back():
        with no_grad():
            for t, array, values in kept:
                t.data = array
                t[...] = values

    return back


def _optimizer(optimizer):
    groups = [dict(group) for group in optimizer.param_groups]
    state, steps = [dict(own) for own in optimizer._state], list(optimizer._steps)

    def back():
        for group, items in zip(optimizer.param_groups, groups, strict=True):
            dict.update(group, items)  # which were checked when they were set
        optimizer._state, optimizer._steps = state, steps

    return back
