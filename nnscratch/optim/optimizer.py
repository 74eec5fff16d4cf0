"""Optimizer: parameters in groups, their settings and state; what every optimiser has in common."""

import weakref
from collections.abc import Iterable

import numpy as np

from nnscratch import arguments, backend
from nnscratch.autograd import describe, recording
from nnscratch.hints import hinting
from nnscratch.tensor import Tensor, forget_gradients

#: Steps after which numbers too small to be normal become 0 in the state. The mean of gradients that stay 0, such as those of a
#: dead unit, would else be such numbers for good, for which processors take several times as long.
FADING = 64


def tensors(owner, params):
    """Parameters as a list, refused where they are none, or given twice.

    Raises
    ------
    TypeError
        Where something is no Tensor.
    ValueError
        Where there are none, or one comes twice.

    Examples
    --------
    >>> import nnscratch as ns
    >>> len(tensors("clip_grad_norm", ns.nn.Linear(2, 1).parameters()))
    2
    """
    if hasattr(params, "parameters"):
        raise TypeError(f"{owner}: got a {type(params).__name__}, expected its parameters; pass model.parameters()")
    if isinstance(params, Tensor):
        raise TypeError(f"{owner}: got a single tensor {describe(params)}, expected several; pass [tensor]")
    try:
        found = list(params)
    except TypeError:
        raise TypeError(f"{owner}: params is {describe(params)}, expected tensors; pass model.parameters()") from None
    if not found:
        raise ValueError(
            f"{owner}: got no parameters; pass model.parameters() anew, as a generator can be used only once"
        )
    seen = set()
    for i, p in enumerate(found):
        if not isinstance(p, Tensor):
            raise TypeError(f"{owner}: parameter {i} is {describe(p)}, expected a tensor; pass model.parameters()")
        if id(p) in seen:
            raise ValueError(f"{owner}: parameter {i} {describe(p)} is given twice; give each tensor once")
        seen.add(id(p))
    return found


def _fits(array, grad):
    """Whether a gradient is a Tensor of its parameter's shape, dtype and device."""
    if not isinstance(grad, Tensor):
        return False
    d = grad.data
    return d.shape == array.shape and type(d) is type(array) and (d.dtype is array.dtype or d.dtype == array.dtype)


def gradients(owner, params):
    """The pairs (parameter, the array of its gradient) of those that have one, each checked.

    Raises
    ------
    TypeError
        Where ``.grad`` is no Tensor.
    ValueError
        Where it has not its parameter's shape and dtype.

    Examples
    --------
    >>> import nnscratch as ns
    >>> gradients("SGD", [ns.tensor([1.0], requires_grad=True)])
    []
    """
    found = []
    for i, p in enumerate(params):
        g = p.grad
        if g is None:
            continue
        if not isinstance(g, Tensor):
            raise TypeError(f"{owner}: .grad of parameter {i} is {describe(g)}, expected a Tensor or None; wrap it")
        array, d = p.data, g.data
        if d.shape != array.shape or (d.dtype is not array.dtype and d.dtype != array.dtype):
            raise ValueError(
                f"{owner}: parameter {i} is {describe(p)}, its .grad {describe(g)}; give them one shape and dtype"
            )
        if type(d) is not type(array):
            raise ValueError(
                f"{owner}: parameter {i} is on {p.device}, its .grad on {g.device}, expected one device; move the module with "
                f".to(...), which moves both"
            )
        found.append((p, d))
    return found


class Group(dict):
    """A group of parameters with its settings, which are checked whenever one is set.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=0.1)
    >>> optimizer.param_groups[0]["lr"] = -1.0
    Traceback (most recent call last):
    ValueError: SGD: lr is -1.0, expected a finite number in [0, inf]; choose one there
    """

    def __init__(self, optimizer, items):
        self._optimizer = weakref.ref(optimizer)  # no cycle, so that its arrays go as soon as nobody wants them
        super().__init__(items)

    def __reduce__(self):
        return dict, (dict(self),)

    def __setitem__(self, key, value):
        self.update({key: value})

    def update(self, *items, **settings):
        """Set several at once, all of them or none."""
        new, optimizer = {**self, **dict(*items, **settings)}, self._optimizer()
        params = new.pop("params")
        super().update(new if optimizer is None else optimizer._check(new), params=params)

    def __ior__(self, items):  # type: ignore[misc] # of fewer kinds of items than dict's
        self.update(items)
        return self


class Optimizer:
    """What every optimiser has in common; a new one writes `_check` and `_update`, and names its `slots`.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to change: leaves that require gradients. A dict is a group with settings of its own:
        ``{"params": [...], "lr": 0.01}``.
    settings : dict
        The settings of groups that do not have their own.

    Attributes
    ----------
    param_groups : list of dict
        Each with its ``"params"`` and all settings, which may be changed between steps, and are checked as they are.
    projections : tuple of callable
        What is called after each step, such as `compress.Masks.apply`, which keeps pruned weights at 0.

    Raises
    ------
    TypeError, ValueError
        Where parameters or settings are not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w = ns.tensor([1.0], requires_grad=True)
    >>> optimizer = ns.optim.SGD([w], lr=0.5)
    >>> isinstance(optimizer, ns.optim.Optimizer), optimizer.lr
    (True, 0.5)
    """

    #: LaTeX of the update, and where the documents state it.
    formula = ""
    document = ""
    #: Names of the arrays kept for each parameter, and those of them that fade where its gradients stay 0.
    slots: tuple = ()
    fading: tuple = ()
    projections: tuple = ()
    #: Settings that states of earlier versions lack, with what they mean there.
    since: tuple = ()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = hinting(cls.__init__)
        if "_update" in vars(cls) and "_update_all" not in vars(cls):
            cls._update_all = Optimizer._update_all  # that of the class above computes something else

    def __init__(self, params, settings):
        listed = isinstance(params, Iterable) and getattr(params, "shape", None) != ()
        if listed and not hasattr(params, "parameters") and not isinstance(params, Tensor):
            params = list(params)
        grouped = isinstance(params, list) and any(isinstance(p, dict) for p in params)
        groups = params if grouped else [{"params": params}]
        self._defaults, self._settings = dict(settings), tuple(settings)
        self.param_groups = [self._group(i, group) for i, group in enumerate(groups)]
        everything = self._trainable(self._params())
        self._state: list = [{} for _ in everything]
        self._steps = [0] * len(everything)
        backend.of(everything[0].data).prepare(max(p.size for p in everything))

    def _group(self, i, group):
        """A group of parameters, checked, with the settings of its own and the optimiser's for the rest."""
        name, settings = type(self).__name__, self._defaults
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(
                f"{name}: group {i} is {describe(group)}, expected a dict with 'params'; "
                f"pass [{{'params': [...], 'lr': ...}}, ...] or tensors alone"
            )
        unknown = [k for k in group if k != "params" and k not in settings]
        if unknown:
            raise ValueError(f"{name}: group {i} has no setting {unknown[0]!r}; use {', '.join(settings)}")
        own = self._check({**settings, **{k: v for k, v in group.items() if k != "params"}})
        return Group(self, {"params": tensors(name, group["params"]), **own})

    def _trainable(self, params):
        """Parameters as a list, each of which a step can change."""
        name = type(self).__name__
        params = tensors(name, params)
        for i, p in enumerate(params):
            if not p.requires_grad:
                raise ValueError(
                    f"{name}: parameter {i} {describe(p)} does not require a gradient; make it with "
                    f"requires_grad=True, or leave it out"
                )
            if not p.is_leaf:
                raise ValueError(
                    f"{name}: parameter {i} {describe(p)} is a result of {p._node.op.name}, which no step "
                    f"would train; pass the tensors it was computed from"
                )
            if not getattr(p.data.flags, "writeable", True):
                raise ValueError(
                    f"{name}: parameter {i} {describe(p)} cannot be written to; make it with ns.tensor(...)"
                )
        return params

    def add_param_group(self, group):
        """Let the optimiser change further parameters, such as layers that are no longer frozen.

        Parameters
        ----------
        group : dict
            ``{"params": [...], "lr": 0.01}``: parameters that it does not have yet, and settings of their own; those left out are
            what the optimiser was made with.

        Raises
        ------
        TypeError, ValueError
            Where they are not such; then nothing is changed.

        Examples
        --------
        >>> import nnscratch as ns
        >>> a, b = ns.tensor([1.0], requires_grad=True), ns.tensor([1.0], requires_grad=True)
        >>> optimizer = ns.optim.SGD([a], lr=0.1)
        >>> optimizer.add_param_group({"params": [b], "lr": 0.01})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.1, 0.01]
        """
        new = self._group(len(self.param_groups), group)
        everything = self._trainable([*self._params(), *new["params"]])
        self.param_groups.append(new)
        self._state += [{} for _ in new["params"]]
        self._steps += [0] * len(new["params"])
        backend.of(everything[0].data).prepare(max(p.size for p in everything))

    def __setstate__(self, state):
        vars(self).update(state)
        self.param_groups = [Group(self, group) for group in self.param_groups]

    def _check(self, settings):
        """The settings of a group, checked and in their own types."""
        raise NotImplementedError

    def _used(self, group):
        """The `slots` that the settings of a group make use of."""
        return self.slots

    def _update(self, p, g, state, step, group):
        """Write the next values into the arrays `p` and those of `state`; `step` is 1 at the first."""
        raise NotImplementedError

    def _update_all(self, rows, step, group):
        """The same for rows of p, g and state that are at the same step; kernels for all of them do nothing after a failed check of a GPU's."""
        backend.of(rows[0][0]).synchronize()  # which is raised here
        for p, g, state in rows:
            self._update(p, g, state, step, group)

    def _params(self):
        return [p for group in self.param_groups for p in group["params"]]

    @property
    def lr(self):
        """The learning rate of the first group; setting it sets that of all.

        Examples
        --------
        >>> import nnscratch as ns
        >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=0.1)
        >>> optimizer.lr = 0.01
        >>> optimizer.param_groups[0]["lr"]
        0.01
        """
        return self.param_groups[0]["lr"]

    @lr.setter
    def lr(self, value):
        value = arguments.number(type(self).__name__, "lr", value, 0)
        for group in self.param_groups:
            group["lr"] = value

    def zero_grad(self, set_to_none=True):
        """Forget all gradients: ``.grad`` of each parameter becomes None; with False those that are there become 0."""
        forget_gradients(self._params(), set_to_none)

    def step(self):
        """Change each parameter that has a gradient, in place, by it.

        Raises
        ------
        TypeError, ValueError
            Where a gradient is no Tensor of its parameter's shape and dtype; then nothing is changed.
        """
        params = self._params()
        for p in params:
            if p.grad is not None and not _fits(p.data, p.grad):
                gradients(type(self).__name__, params)  # which says what is wrong
        given = [None if p.grad is None else p.grad.data for p in params]
        if recording.state.recorder is None:
            self._step(given)
        else:
            recording.state.recorder.effect(self._step, given)

    def _step(self, gradients):
        """`step` by these gradients, an array or None for each parameter."""
        i = -1
        for group in self.param_groups:
            slots, together, narrow = self._used(group), {}, []
            for p in group["params"]:
                i += 1
                g = gradients[i]
                if g is None:
                    continue
                self._steps[i] = step = self._steps[i] + 1
                own, array = self._state[i], p.data
                # Half precision has no room for a mean of squares: step in float32, and round once.
                if array.itemsize < 4:
                    narrow.append((array, array.astype(np.float32)))
                    array, g = narrow[-1][1], g.astype(np.float32)
                if slots:
                    self._prepare(own, slots, array, step)
                p._version[0] += 1
                key = step, type(array)
                if key in together:
                    together[key].append((array, g, own))
                else:
                    together[key] = [(array, g, own)]
            for (step, _), rows in together.items():
                self._update_all(rows, step, group)
            for array, wide in narrow:
                array[...] = wide
        for project in self.projections:
            project()

    def _prepare(self, state, slots, array, step):
        """Let a parameter's state have the arrays that its step needs, where the parameter is."""
        for slot in slots:
            a = state.get(slot)
            if a is None:
                state[slot] = np.zeros_like(array)
            elif type(a) is not type(array):  # the parameter has moved to another device
                state[slot] = backend.asarray(a, device=backend.of(array).name)
            elif step % FADING == 0 and slot in self.fading:
                a[np.abs(a) < np.finfo(a.dtype).tiny] = 0

    def state_dict(self):
        """All that a later step depends on beside the parameters: copies of arrays, settings fit for JSON.

        Returns
        -------
        dict
            ``"optimizer"`` (its name), ``"groups"`` (a dict of settings for each), ``"steps"`` (how many each
            parameter has made), and arrays under ``"0.m"``: the parameter's number and the array's name.

        Examples
        --------
        >>> import nnscratch as ns
        >>> ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=0.1).state_dict()["groups"]
        [{'lr': 0.1, 'momentum': 0.0, 'nesterov': False, 'weight_decay': 0.0, 'dampening': 0.0, 'params': [0]}]
        """
        groups, start = [], 0
        for group in self.param_groups:
            stop = start + len(group["params"])
            settings = {k: list(v) if isinstance(v := group[k], tuple) else v for k in self._settings}
            groups.append({**settings, "params": list(range(start, stop))})
            start = stop
        arrays = {
            f"{i}.{slot}": np.array(backend.of(a).to_numpy(a))
            for i, s in enumerate(self._state)
            for slot, a in s.items()
        }
        return {"optimizer": type(self).__name__, "groups": groups, "steps": list(self._steps), **arrays}

    def load_state_dict(self, state):
        """Take over what `state_dict` returned; all is checked before anything changes.

        Parameters
        ----------
        state : dict
            Of an optimiser of the same kind for parameters of the same shapes and dtypes, in the same groups.

        Raises
        ------
        TypeError
            Where `state` is no dict.
        ValueError
            Where it does not fit.

        Examples
        --------
        >>> import nnscratch as ns
        >>> x = ns.tensor([1.0], requires_grad=True)
        >>> a, b = ns.optim.Adam([x], lr=0.1), ns.optim.Adam([x])
        >>> b.load_state_dict(a.state_dict())
        >>> b.lr
        0.1
        """
        name = type(self).__name__
        what = f"{name}.load_state_dict"
        if not isinstance(state, dict):
            raise TypeError(f"{what}: got {describe(state)}, expected a dict; pass what state_dict() returned")
        if state.get("optimizer") != name:
            raise ValueError(
                f"{what}: the state is of {arguments.shown(state.get('optimizer', 'no optimiser'))}; "
                f"load it into an optimiser of that kind"
            )
        sizes = [len(group["params"]) for group in self.param_groups]
        groups, steps = state.get("groups"), state.get("steps")
        try:
            found = [len(group["params"]) for group in groups]
            settings = [self._check({k: {**dict(self.since), **group}[k] for k in self._settings}) for group in groups]
            steps = [arguments.count(what, "a number of steps", n, 0) for n in steps]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{what}: the state is damaged ({error}); pass what state_dict() returned") from error
        if found != sizes or len(steps) != sum(sizes):
            raise ValueError(
                f"{what}: the state is of groups with {arguments.shown(found)} parameters, this optimiser has {sizes}; "
                f"build it with the same parameters"
            )
        own = {f"{i}.{slot}": (i, slot) for i in range(len(steps)) for slot in self.slots}
        arrays: list = [{} for _ in steps]
        wrong, params = [], self._params()
        for key, value in state.items():
            if key in ("optimizer", "groups", "steps"):
                continue
            if key not in own:
                wrong.append(f"{arguments.named(key)} is unexpected")
                continue
            i, slot = own[key]
            p, value = params[i], value.data if isinstance(value, Tensor) else value
            dtype = np.dtype(np.float32) if p.dtype.itemsize < 4 else p.dtype
            if not backend.is_array(value) or (value.shape, value.dtype) != (p.shape, dtype):
                wrong.append(f"{key} is {describe(value)}, expected {p.shape} {dtype}")
                continue
            arrays[i][slot] = backend.asarray(value, device=backend.of(p.data).name).copy()
        each = [group for group, size in zip(settings, sizes, strict=True) for _ in range(size)]
        for i, group in enumerate(each):
            wrong += [f"{i}.{slot} is missing" for slot in self._used(group) if steps[i] and slot not in arrays[i]]
        if wrong:
            raise ValueError(
                f"{what}: the state does not fit: {arguments.several(wrong)}; build the optimiser with the same parameters"
            )
        for group, own in zip(self.param_groups, settings, strict=True):
            group.update(own)
        self._state, self._steps = arrays, steps

    def __repr__(self):
        def settings(group):
            return ", ".join(f"{k}={group[k]}" for k in self._settings)

        if len(self.param_groups) == 1:
            return f"{type(self).__name__}({settings(self.param_groups[0])})"
        lines = [f"  group {i}: {settings(group)}" for i, group in enumerate(self.param_groups)]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])
