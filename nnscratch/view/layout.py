"""Where the boxes of a graph stand and how its arrows run: layer by layer, after Sugiyama, Tagawa and Toda (1981).

A box stands in the layer after those that it needs. A wire that passes layers takes a place of its own in each, so that it meets
no box; wires from one exit share it. The order within a layer is that of the neighbours' averages, and the places are those
nearest to the neighbours', by least squares under the distances kept. Everything is a plain list in a given order, so that the
same graph is drawn the same. Of the libraries on PyPI, grandalf does this under the GPL, and the others need a program ``dot``.
"""

import bisect
import itertools

#: Distances in pixels: between boxes, beside a passing wire, between layers.
GAP, LANE, ROW = 26, 14, 30


class Box:
    """A rectangle with places where wires come in, on its upper edge, and go out, on its lower one.

    Parameters
    ----------
    width, height : float
    entries, exits : dict of key to float
        How far from the left edge; an exit that is not in it is in the middle.
    slots : dict of key to float, optional
        The widths of entries whose order is free: they are put, in the order of where their wires come from, into `entries`.
    pin : {"", "last", "corner"}
        To stand in the last layer; to stand at the left end of its own.
    leaf : bool
        Whether it stands just before the first that needs it, and gives way in where others stand.

    Attributes
    ----------
    x, y : float
        The upper left corner, once arranged.
    """

    def __init__(self, width, height, entries=None, exits=None, slots=None, pin="", leaf=False):
        self.width, self.height = width, height
        self.entries, self.exits, self.slots = entries or {}, exits or {}, slots
        self.pin, self.leaf = pin, leaf
        self.x = self.y = 0.0

    def entry(self, key):
        """How far from the middle a wire comes in."""
        return 0.0 if self.slots is not None or key not in self.entries else self.entries[key] - self.width / 2

    def exit(self, key):
        """How far from the middle a wire goes out."""
        return self.exits[key] - self.width / 2 if key in self.exits else 0.0


class Edge:
    """A wire from an exit of a box to an entry of another.

    Attributes
    ----------
    points : list of (float, float)
        Its course, once arranged: two points that follow each other stand above each other, or are joined by a curve that leaves
        and arrives upright.
    """

    def __init__(self, source, exit, target, entry):
        self.source, self.exit, self.target, self.entry = source, exit, target, entry
        self.start: list = []  # from the exit through its layer
        self.trunk: list = []  # the points in each layer further on, shared by the wires of this exit
        self.passed = 0  # how many of them this one passes
        self.end: list = []  # from the target's layer to its entry

    @property
    def points(self):
        return _course(self.start, *self.trunk[: self.passed], self.end)

    def pieces(self, after=0):
        """Its course from the start, or from a number of layers passed, in pairs of points."""
        first = self.trunk[after - 1][1:] if after else self.start
        yield from itertools.pairwise(_course(first, *self.trunk[after : self.passed]))
        last = self.trunk[self.passed - 1] if self.passed else self.start
        yield from itertools.pairwise(_course(last[1:], self.end))


def _course(*parts):
    return [p for p, _ in itertools.groupby(itertools.chain.from_iterable(parts))]


class _Place:
    """What stands in a layer: a box, or a passing wire, which has none."""

    def __init__(self, box, width):
        self.box, self.width = box, width
        self.x = 0.0  # the middle
        self.at, self.wish = 0, 0.0  # the number in its layer, and the one it would have
        self.above: list = []  # (place, how far its exit is from its middle, how far the entry here is, weight)
        self.below: list = []


def arrange(boxes, edges):
    """Give each box its corner and each edge its course.

    Parameters
    ----------
    boxes : list of Box
        In an order in which no wire runs backwards.
    edges : list of Edge

    Returns
    -------
    (float, float)
        The width and the height of it all.

    Examples
    --------
    >>> a, b = Box(40, 20), Box(60, 20)
    >>> wire = Edge(a, "", b, "")
    >>> arrange([a, b], [wire])
    (60.0, 70.0)
    >>> (a.x, a.y), (b.x, b.y), wire.points
    ((10.0, 0.0), (0.0, 50.0), [(30.0, 20.0), (30.0, 50.0)])
    """
    if not boxes:
        return 0.0, 0.0
    ranks = _ranks(boxes, edges)
    places = {id(b): _Place(b, b.width) for b in boxes}
    layers: list = [[] for _ in range(max(ranks.values()) + 1)]
    for b in boxes:
        layers[ranks[id(b)]].append(places[id(b)])
    trunks = _trunks(edges, ranks, places, layers)
    _order(layers)
    _spread(layers)
    left = min(p.x - p.width / 2 for layer in layers for p in layer)
    for layer in layers:
        for p in layer:
            p.x -= left
            if p.box is not None:
                p.box.x = p.x - p.width / 2
    _assign_slots(edges, trunks)
    width = max(p.x + p.width / 2 for layer in layers for p in layer)
    return float(width), _stack(layers, edges, trunks)


def _ranks(boxes, edges):
    """The layer of each box."""
    before: dict = {id(b): [] for b in boxes}
    after: dict = {id(b): [] for b in boxes}
    for e in edges:
        before[id(e.target)].append(id(e.source))
        after[id(e.source)].append(id(e.target))
    ranks: dict = {}
    for b in boxes:
        ranks[id(b)] = max((ranks[s] + 1 for s in before[id(b)]), default=0)
    # What hangs on leaves, or on one box, alone would have long wires if it stood first: it moves down to the first that needs it,
    # so that the steps of an unrolled network follow each other.
    inner = {id(b) for b in boxes if not b.leaf}
    for b in reversed(boxes):
        if before[id(b)] and after[id(b)] and len(inner.intersection(before[id(b)])) <= 1:
            ranks[id(b)] = min(ranks[t] for t in after[id(b)]) - 1
    for b in boxes:
        if b.leaf and not before[id(b)] and after[id(b)]:
            ranks[id(b)] = min(ranks[t] for t in after[id(b)]) - 1
    lowest = max(ranks.values())
    for b in boxes:
        if b.pin == "last":
            ranks[id(b)] = lowest
    if any(b.pin == "last" and any(ranks[s] == lowest for s in before[id(b)]) for b in boxes):
        for b in boxes:
            ranks[id(b)] += b.pin == "last"
    return ranks


def _trunks(edges, ranks, places, layers):
    """For each edge the places that the wires of its exit pass, and how many of them are its own."""
    trunks: dict = {}
    found = []
    for e in edges:
        start = ranks[id(e.source)]
        trunk = trunks.setdefault((id(e.source), e.exit), [])
        passed = ranks[id(e.target)] - start - 1
        while len(trunk) < passed:
            place = _Place(None, LANE)
            layers[start + 1 + len(trunk)].append(place)
            if trunk:
                _tie(trunk[-1], place, 0.0, 0.0, 8.0)
            else:
                _tie(places[id(e.source)], place, e.source.exit(e.exit), 0.0, 2.0)
            trunk.append(place)
        weight = 0.05 if e.source.leaf else 2.0 if passed else 1.0
        if passed:
            _tie(trunk[passed - 1], places[id(e.target)], 0.0, e.target.entry(e.entry), weight)
        else:
            _tie(places[id(e.source)], places[id(e.target)], e.source.exit(e.exit), e.target.entry(e.entry), weight)
        found.append((trunk, passed))
    return found


def _tie(upper, lower, leaves, arrives, weight):
    lower.above.append((upper, leaves, arrives, weight))
    upper.below.append((lower, leaves, arrives, weight))


def _order(layers):
    """Put each layer into the order of its neighbours' averages, down and up, and keep the order with the fewest crossings."""
    for layer in layers:
        _number(layer)
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(10):
        if not fewest:
            break
        down = sweep % 2 == 0
        for layer in layers[1:] if down else layers[-2::-1]:
            for p in layer:
                near = p.above if down else p.below
                p.wish = sum(q.at + (a if down else b) / 1e4 for q, a, b, _ in near) / len(near) if near else p.at
                if p.box is not None and p.box.pin == "corner":
                    p.wish = -1
            layer.sort(key=lambda p: p.wish)
            _number(layer)
        now = _crossings(layers)
        if now < fewest:
            best, fewest = [list(layer) for layer in layers], now
    for layer, order in zip(layers, best, strict=True):
        layer[:] = order


def _number(layer):
    for at, p in enumerate(layer):
        p.at = at


def _crossings(layers):
    """How many pairs of wires cross."""
    count = 0
    for layer in layers[1:]:
        wires = sorted((q.at + a / 1e4, p.at + b / 1e4) for p in layer for q, a, b, _ in p.above)
        seen: list = []
        for _, end in wires:
            count += len(seen) - bisect.bisect_right(seen, end)
            bisect.insort(seen, end)
    return count


def _spread(layers):
    """Give each place its middle: in turns downwards and upwards, as near to its neighbours' as the distances allow."""
    for layer in layers:
        _fit(layer, [0.0] * len(layer), [1.0] * len(layer))
    # More turns make wires straighter; a graph of hundreds of operations gets by with fewer.
    for turn in range(max(12, min(60, 12000 // sum(map(len, layers))))):
        down = turn % 2 == 0
        for layer in layers if down else reversed(layers):
            wishes, weights = [], []
            for p in layer:
                near = [(q.x + a - b, w) for q, a, b, w in p.above] + [(q.x + b - a, w) for q, a, b, w in p.below]
                total = sum(w for _, w in near)
                wishes.append(sum(x * w for x, w in near) / total if near else p.x)
                weights.append(total or 0.01)
            _fit(layer, wishes, weights)


def _fit(layer, wishes, weights):
    """The middles nearest to the wishes by weighted least squares, in this order and at these distances.

    With the distances taken off, they only have to be in order: neighbours that are not are pooled at their average.
    """
    offset, offsets = 0.0, [0.0]
    for p, q in itertools.pairwise(layer):
        offset += (p.width + q.width) / 2 + (GAP if p.box is not None and q.box is not None else GAP / 2)
        offsets.append(offset)
    pools: list = []  # (average, weight, how many)
    for wish, weight, taken in zip(wishes, weights, offsets, strict=True):
        x, many = wish - taken, 1
        while pools and pools[-1][0] >= x:
            before, heavy, others = pools.pop()
            x, weight, many = (x * weight + before * heavy) / (weight + heavy), weight + heavy, many + others
        pools.append((x, weight, many))
    middles = [x for x, _, many in pools for _ in range(many)]
    for p, x, taken in zip(layer, middles, offsets, strict=True):
        p.x = x + taken


def _assign_slots(edges, trunks):
    """Put the free entries of a box into the order in which their wires come."""
    coming: dict = {}
    for e, (trunk, passed) in zip(edges, trunks, strict=True):
        if e.target.slots is not None:
            x = trunk[passed - 1].x if passed else _leaves(e)
            coming.setdefault(id(e.target), (e.target, []))[1].append((x, len(coming), e.entry))
    for box, wires in coming.values():
        keys = [key for _, _, key in sorted(wires, key=lambda wire: wire[:2])]
        spare = (box.width - sum(box.slots[k] for k in keys)) / len(keys)
        at = 0.0
        for key in keys:
            box.entries[key] = at + (box.slots[key] + spare) / 2
            at += box.slots[key] + spare


def _leaves(edge):
    return edge.source.x + edge.source.width / 2 + edge.source.exit(edge.exit)


def _arrives(edge):
    box = edge.target
    return box.x + box.entries.get(edge.entry, box.width / 2)


def _stack(layers, edges, trunks):
    """Give each layer its height and each wire its course; the height of it all."""
    reach = [0.0] * len(layers)  # how far a wire goes sideways below each layer
    row = {id(p): i for i, layer in enumerate(layers) for p in layer}
    rows = {id(p.box): i for i, layer in enumerate(layers) for p in layer if p.box is not None}
    shared = {id(trunk): (e, trunk) for e, (trunk, _) in zip(edges, trunks, strict=True)}
    for e, trunk in shared.values():
        xs = [_leaves(e), *(p.x for p in trunk)]
        for i, (x, after) in enumerate(itertools.pairwise(xs), rows[id(e.source)]):
            reach[i] = max(reach[i], abs(after - x))
    for e, (trunk, passed) in zip(edges, trunks, strict=True):
        x = trunk[passed - 1].x if passed else _leaves(e)
        i = rows[id(e.target)] - 1
        reach[i] = max(reach[i], abs(_arrives(e) - x))
    y, tops, bottoms = 0.0, [], []
    for layer, far in zip(layers, reach, strict=True):
        tall = max((p.box.height for p in layer if p.box is not None), default=0.0)
        for p in layer:
            if p.box is not None:  # a leaf stands near what needs it
                p.box.y = y + (tall - p.box.height if p.box.leaf else 0.0)
        tops.append(y)
        bottoms.append(y + tall)
        y += tall + ROW + min(0.1 * far, 2 * ROW)
    courses = {
        key: [((p.x, tops[row[id(p)]]), (p.x, bottoms[row[id(p)]])) for p in t] for key, (_, t) in shared.items()
    }
    for e, (trunk, passed) in zip(edges, trunks, strict=True):
        x, to = _leaves(e), _arrives(e)
        e.start = [(x, e.source.y + e.source.height), (x, bottoms[rows[id(e.source)]])]
        e.trunk, e.passed = courses[id(trunk)], passed
        e.end = [(to, tops[rows[id(e.target)]]), (to, e.target.y)]
    return bottoms[-1]
