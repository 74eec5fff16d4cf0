"""The steps of a computation gathered by the module calls in which they were made, opened or folded."""

from itertools import groupby

#: Up to how many boxes a drawing opens modules by itself.
PLENTY = 30


class Group:
    """One call of a module, or (frame None) what stands outside all.

    Attributes
    ----------
    frame : Frame or None
    items : list of Step and Group
        In the order of the computation.
    opened : bool
        Whether what is in it is drawn.
    """

    def __init__(self, frame, items, opened):
        self.frame, self.items, self.opened = frame, items, opened

    @property
    def name(self):
        """The module's path and class, as a drawing calls it."""
        return f"{self.frame.path} · {self.frame.kind}" if self.frame.path else self.frame.kind

    @property
    def steps(self):
        """All steps in it."""
        return [s for item in self.items for s in (item.steps if isinstance(item, Group) else [item])]

    @property
    def told(self):
        """The steps and folded groups that are seen, in the order of the computation; a single step is never folded."""
        if not self.opened:
            return self.steps if len(self.steps) == 1 else [self]
        return [t for item in self.items for t in (item.told if isinstance(item, Group) else [item])]


def gathered(steps, unfold=None, depth=0, frame=None, owner="graph"):
    """The steps as a `Group`.

    Parameters
    ----------
    steps : list of Step
    unfold : {None, True, False}, int, str or list of str
        Which modules are opened: all, none, those that lie in fewer than so many others, or those of these paths with what they
        lie in. None opens as many levels as make a drawing of at most `PLENTY` boxes, and the outermost always.
    depth : int
        How many modules around the steps are passed over, `frame` being the last of them.
    owner : str
        Whose errors these are.

    Raises
    ------
    TypeError
        For another `unfold`.
    ValueError
        For a path that no module here has.
    """
    return _group(frame, steps, depth, _rule(steps, unfold, depth, owner))


def _group(frame, steps, depth, opens):
    """Consecutive steps of one call make a group, so that no arrow between groups can run in a circle."""
    items: list = []
    for _, run in groupby(steps, key=lambda s: id(s.frames[depth]) if len(s.frames) > depth else None):
        inside = list(run)
        if len(inside[0].frames) <= depth:
            items += inside
            continue
        group = _group(inside[0].frames[depth], inside, depth + 1, opens)
        # One box in a frame of its own would only be larger; a folded one hides its parameters at least.
        alone = len(group.items) == 1 and (group.opened or _bare(inside))
        items += group.items if alone else [group]
    return Group(frame, items, frame is None or opens(frame, depth - 1))


def _bare(steps):
    """Whether it is one operation without parameters."""
    return len(steps) == 1 and all(v.kind != "parameter" for _, _, v in steps[0].inputs)


def _rule(steps, unfold, depth, owner):
    """A function of a frame and its depth that says whether it is opened."""
    if unfold is True:
        return lambda frame, at: True
    if unfold is False:
        return lambda frame, at: at < depth
    if isinstance(unfold, int):
        return lambda frame, at: at < depth + unfold
    if unfold is None:
        deepest = max((len(s.frames) for s in steps), default=0)
        levels = [d for d in range(depth + 1, deepest + 1) if _drawn(steps, d) <= PLENTY]
        return lambda frame, at: at < max(levels, default=depth + 1)
    paths = [unfold] if isinstance(unfold, str) else unfold
    if not isinstance(paths, list | tuple | set) or not all(isinstance(p, str) for p in paths):
        raise TypeError(
            f"{owner}: unfold is {unfold!r}, expected True, False, a number of levels, or paths of modules; "
            f"pass ['0', '2'], say"
        )
    known = sorted({f.path for s in steps for f in s.frames})
    for path in paths:
        if path not in known:
            raise ValueError(
                f"{owner}: unfold names {path!r}, and no module of that path is in this computation; "
                f"choose from {', '.join(map(repr, known)) or 'none, as there is none here'}"
            )
    inside = {p for path in paths for p in _around(path)}
    return lambda frame, at: at < depth or frame.path in inside


def _around(path):
    """A path and those of the modules that hold it."""
    parts = path.split(".")
    return ["", *(".".join(parts[: i + 1]) for i in range(len(parts)))]


def _drawn(steps, depth):
    """How many boxes there are with so many levels opened."""
    return sum(1 for _ in groupby(steps, key=lambda s: id(s.frames[depth]) if len(s.frames) > depth else id(s)))


class Uses:
    """Who uses a value of a computation, and what goes in and out of a group."""

    def __init__(self, computation):
        self.output = computation.output
        self.by: dict = {id(v): [] for v in computation.values}
        for step in computation.steps:
            for _, _, v in step.inputs:
                self.by[id(v)].append(step)

    def entering(self, steps):
        """The values that come to these steps from elsewhere, each once."""
        made = {id(v) for s in steps for v in s.results}
        return list({id(v): v for s in steps for _, _, v in s.inputs if id(v) not in made}.values())

    def leaving(self, steps):
        """The results that other steps need, or that are the output."""
        inside = {id(s) for s in steps}
        return [
            v
            for s in steps
            for v in s.results
            if v is self.output or any(id(user) not in inside for user in self.by[id(v)])
        ]

    def unused(self, value):
        """Whether nothing here needs a result: one of several that an operation has."""
        return value.kind == "result" and value is not self.output and self.by.get(id(value)) == []

    def own(self, steps):
        """The parameters, and the constant numbers, that nothing but these steps uses."""
        inside = {id(s) for s in steps}
        return [
            v
            for v in self.entering(steps)
            if (v.kind == "parameter" or (v.kind in ("constant", "input") and not v.shape))
            and all(id(user) in inside for user in self.by[id(v)])
        ]
