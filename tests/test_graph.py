"""`ns.graph`: where its boxes and wires lie, what it tells, how it folds, and that looking changes nothing."""

import itertools
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import nn
from nnscratch.systems import mnist_cnn, regression_3_5_1, worked_2_3_1
from nnscratch.view import layout, printing
from nnscratch.view.graph import Graph

# Geometry


def overlap(a, b, margin=0.05):
    """Whether two rectangles (left, top, width, height, ...) share more than their edges."""
    return (
        a[0] + margin < b[0] + b[2]
        and b[0] + margin < a[0] + a[2]
        and a[1] + margin < b[1] + b[3]
        and b[1] + margin < a[1] + a[3]
    )


def within(inner, outer, margin=0.05):
    return (
        inner[0] >= outer[0] - margin
        and inner[1] >= outer[1] - margin
        and inner[0] + inner[2] <= outer[0] + outer[2] + margin
        and inner[1] + inner[3] <= outer[1] + outer[3] + margin
    )


def along(points, steps=12):
    """Points on a wire, as it is drawn."""
    for (x, y), (to, down) in itertools.pairwise(points):
        for i in range(steps + 1):
            t = i / steps
            yield x + (to - x) * (3 * t * t - 2 * t**3), (y + down) / 2 + (down - y) / 2 * ((2 * t - 1) ** 3 * 0.25 + 0.75 * (2 * t - 1))  # fmt: skip


def check_drawing(graph):
    """No box, line or wire lies where it should not, and the drawing is well-formed."""
    svg, pen = graph._drawn(graph._group, graph.notes)
    root = ElementTree.fromstring(svg)
    page = (0, 0, float(root.get("width")), float(root.get("height")))
    frames = [b for b in pen.boxes if b[4] == "frame"]
    boxes = [b for b in pen.boxes if b[4] != "frame"]
    assert boxes and all(within(b, page) for b in pen.boxes + pen.labels)
    for a, b in itertools.combinations(boxes, 2):
        assert not overlap(a, b), (a, b)
    for a, b in itertools.combinations(pen.labels, 2):
        assert not overlap(a, b), (a, b)
    for frame in frames:
        for box in pen.boxes:
            assert box is frame or within(box, frame) or within(frame, box) or not overlap(box, frame)
    for label in pen.labels:
        for box in boxes:
            assert within(label, box) or not overlap(label, box), (label, box)
    for edge, left, top in pen.edges:
        points = [(left + x, top + y) for x, y in edge.points]
        assert edge.source is not edge.target
        assert all(y <= down + 1e-6 for (_, y), (_, down) in itertools.pairwise(points)), points
        for x, y in along(points):
            for box in boxes:
                inside = box[0] + 0.5 < x < box[0] + box[2] - 0.5 and box[1] + 0.5 < y < box[1] + box[3] - 0.5
                assert not inside, (points, box)
    return svg, pen


@ns.op(outputs=("sine", "cosine"), formula=r"sine = \sin x, \quad cosine = \cos x")
def sincos(x):
    return np.sin(x), np.cos(x)


@sincos.rule("x")
def _(g_sine, g_cosine, sine, cosine):
    return g_sine * cosine - g_cosine * sine


@ns.op(outputs=("a_rather_long_name", "greatest", "places"))
def sorted_with(x, w):
    return np.sort(x) * w, x.max(), np.argsort(x)


@sorted_with.rule("x")
def _(g_a_rather_long_name, g_greatest, greatest, x, w, places, x_shape):
    return ns.put_add(g_a_rather_long_name * w, x_shape, places) + g_greatest * ns.equal(x, greatest)


@sorted_with.rule("w")
def _(g_a_rather_long_name, x, places):
    return g_a_rather_long_name * ns.take(x, places)


def random_graph(choices, framed):
    """A graph of small operations on earlier results, some of them in modules, some modules within modules."""

    class Part(nn.Module):
        def __init__(self, inner=None):
            super().__init__()
            self.weight = nn.Parameter(np.ones(2, np.float32))
            self.inner = inner

        def forward(self, a, b):
            h = a * self.weight + b
            return h if self.inner is None else self.inner(ns.tanh(h), a)

    class Pair(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, a, b):
            sine, cosine = sincos(self.inner(a, b))
            return sine * a, cosine

    parts = [Part(), Part(Part()), Part(Part(Part())), Pair(Part())]
    values = [ns.tensor([1.0, 2.0], requires_grad=True), ns.tensor([0.5, 0.25])]
    for kind, first, second in choices:
        a, b = values[-1 - first % len(values)], values[-1 - second % len(values)]
        if framed and kind < 4:
            made = parts[kind](a, b)
        elif kind < 6:
            made = [a + b, a * b, ns.tanh(a), ns.concatenate([a, b])[:2], ns.maximum(a, b), sincos(a)[1]][kind]
        else:
            made = sincos(a) if kind == 6 else sorted_with(a, b)[:1]
        values += made if isinstance(made, tuple) else [made]
    used = [v for v in values[2:] if v.requires_grad]
    return (used[-1] if used else values[0] * 1).sum(), parts


CHOICES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=14)


@given(
    choices=CHOICES, framed=st.booleans(), gradients=st.booleans(), unfold=st.sampled_from([None, True, False, 1, 2])
)
def test_nothing_lies_upon_anything_else(choices, framed, gradients, unfold):
    y, _parts = random_graph(choices, framed)
    check_drawing(ns.graph(y, gradients=gradients, unfold=unfold))


SIZES = st.tuples(st.integers(5, 90), st.integers(5, 60))


@given(
    sizes=st.lists(SIZES, min_size=2, max_size=12), wires=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)))
)
def test_a_layout_keeps_boxes_apart_and_wires_outside_them(sizes, wires):
    boxes = [layout.Box(float(w), float(h), slots={}) for w, h in sizes]
    edges = []
    for a, b in wires:
        a, b = sorted((a % len(boxes), b % len(boxes)))
        if a != b:
            boxes[b].slots[len(edges)] = 4.0
            edges.append(layout.Edge(boxes[a], "", boxes[b], len(edges)))
    width, height = layout.arrange(boxes, edges)
    places = [(b.x, b.y, b.width, b.height) for b in boxes]
    assert all(within(p, (0, 0, width, height)) for p in places)
    assert not any(overlap(a, b) for a, b in itertools.combinations(places, 2))
    for e in edges:
        (x, y), (to, down) = e.points[0], e.points[-1]
        assert x == pytest.approx(e.source.x + e.source.width / 2) and y == pytest.approx(e.source.y + e.source.height)
        assert e.target.x <= to <= e.target.x + e.target.width and down == pytest.approx(e.target.y)
        for px, py in along(e.points):
            assert not any(
                l + 0.5 < px < l + w - 0.5 and t + 0.5 < py < t + h - 0.5
                for l, t, w, h in places  # noqa: E741
            )


# The systems


def worked():
    model = worked_2_3_1.SYSTEM.model()
    loss = F.cross_entropy(model(ns.tensor([worked_2_3_1.INPUT], dtype="float64")), [0])
    return model, loss


def regression():
    model = regression_3_5_1.SYSTEM.model()
    rng = np.random.default_rng(0)
    x, target = (ns.tensor(rng.random((6, n)), dtype="float32") for n in (3, 1))
    return model, F.mse_loss(model(x), target)


def convolutional():
    model = mnist_cnn.SYSTEM.model()
    x = ns.tensor(np.random.default_rng(0).random((2, 1, 28, 28)), dtype="float32")
    return model, F.cross_entropy(model(x), [3, 1])


SYSTEMS = {"S8": worked, "S1": regression, "S2": convolutional}


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("unfold", [None, True, False])
def test_the_systems_are_drawn(name, unfold):
    model, loss = SYSTEMS[name]()
    loss.backward()
    graph = ns.graph(loss, {"loss": loss}, unfold=unfold)
    svg, pen = check_drawing(graph)
    words = [label[4] for label in pen.labels]
    assert any(w.startswith("loss ") for w in words) and any(w.startswith("∇") for w in words)
    if unfold is not False:
        for parameter, _ in model.named_parameters():
            assert any(w.startswith(f"{parameter} ") for w in words), parameter
    assert svg == ns.graph(loss, {"loss": loss}, unfold=unfold).svg()


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_gradients_shown_are_those_of_the_leaves(name):
    model, loss = SYSTEMS[name]()
    loss.backward()
    found = {v.name: v.gradient for v in ns.graph(loss)._computation.values}
    for parameter, t in model.named_parameters():
        np.testing.assert_array_equal(found[parameter], t.grad.numpy())


def test_looking_changes_nothing():
    model, loss = regression()
    again, other = regression()
    again.load_state_dict(model.state_dict())
    other = F.mse_loss(again(ns.tensor(np.random.default_rng(0).random((6, 3)), dtype="float32")), loss._node.args[1])
    nodes = ns.autograd.nodes_of([loss._node])
    before = [None if n.data is None else n.data.copy() for n in nodes]
    graph = ns.graph(loss, gradients=True)
    assert graph.svg() and str(graph) and graph.mermaid() and graph._repr_html_()
    assert all(t.grad is None for t in model.parameters())
    for node, data in zip(nodes, before, strict=True):
        assert (node.data is None) == (data is None) and (data is None or np.array_equal(node.data, data))
    loss.backward()
    other.backward()
    for t, u in zip(model.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(t.grad.numpy(), u.grad.numpy())
    dropped = [n.data is None for n in nodes]
    ns.graph(loss).svg()
    assert any(dropped) and [n.data is None for n in nodes] == dropped


def test_gradients_are_shown_after_a_backward_pass_only():
    w = ns.tensor([1.0, 2.0], requires_grad=True)
    y = (w * w).sum()
    assert "∇" not in str(ns.graph(y)) and "∇" in str(ns.graph(y, gradients=True))
    y.backward()
    assert "∇ [2, 4]" in str(ns.graph(y)) and "∇" not in str(ns.graph(y, gradients=False))
    assert "∇ [2, 4]" in ns.graph(y).svg() and "∇" not in ns.graph(y, gradients=False).svg()
    several = w * w
    assert "∇" not in str(ns.graph(several))


def test_after_an_optimisers_step_the_rest_is_drawn_with_a_note():
    model, loss = regression()
    loss.backward()
    ns.optim.SGD(model.parameters(), lr=0.1).step()
    graph = ns.graph(loss)
    assert len(graph.notes) == 1 and "can no longer be told" in graph.notes[0]
    _, pen = check_drawing(graph)
    assert "no longer be told" in " ".join(label[4] for label in pen.labels) and graph.notes[0] in str(graph)
    with pytest.raises(RuntimeError, match="changed in place"):
        ns.graph(loss, gradients=True)


# Several results


def branching():
    """y = h² sin + Σ v order, with results used twice, once, and not at all; the names that a caller has for them."""
    x = ns.tensor([2.0, 1.0, 3.0], requires_grad=True)
    sine, _ = sincos(x)
    values, greatest, places = sorted_with(sine, x)
    y = (sine * sine + values * places).sum()
    return y, {"x": x, "order": places, "top": greatest, "y": y}


def test_every_result_is_told_by_its_name_and_unused_ones_are_marked():
    y, names = branching()
    y.backward()
    lines = str(ns.graph(y, names)).splitlines()
    assert [line.split()[:6] for line in lines if "sincos" in line] == [
        ["1", "sine,", "cosine", "=", "sincos(x)", "sine"]
    ]
    told = {line.split()[0]: line for line in lines if line.startswith("     ")}
    assert list(told) == ["sine", "cosine", "a_rather_long_name", "top", "order"]
    assert {name for name, line in told.items() if "unused" in line} == {"cosine", "top"}
    x, g = names["x"].numpy(), names["x"].grad
    found = {v.name: v for v in ns.graph(y, names)._computation.values}
    np.testing.assert_array_equal(found["cosine"].array, np.cos(x))
    assert found["order"].gradient is None and found["cosine"].gradient is None
    np.testing.assert_array_equal(found["order"].array, names["order"].numpy())
    np.testing.assert_array_equal(found["x"].gradient, g.numpy())


def test_arrows_leave_their_own_result():
    y, names = branching()
    svg, pen = check_drawing(ns.graph(y, names))
    words = [label[4] for label in pen.labels]
    assert {"sine", "cosine", "greatest", "places"} <= set(words)  # the operation's own names
    assert any(w.startswith("a_rather") and w.endswith("…") for w in words)
    assert all(
        sum(bool(re.match(rf"{name} (\(|number)", w)) for w in words) == 1 for name in ("top", "order", "cosine")
    )
    assert sum(kind == "unused result" for *_, kind in pen.boxes) == 2 and "unused result" in svg
    middles = {label[4]: label[0] + label[2] / 2 for label in pen.labels}
    plates = {w.split()[0]: x for w, x in middles.items() if re.match(r"\w+ (\(|number)", w)}
    starts = sorted(left + edge.points[0][0] for edge, left, _ in pen.edges)
    for name, many in {"sine": 3, "order": 1, "a_rather_long_name": 1, "cosine": 0}.items():
        assert sum(abs(x - plates[name]) < 1 for x in starts) >= many
    assert not any(abs(x - plates["top"]) < 1 for x in starts)
    text = ns.graph(y, names).mermaid()
    assert text.count("-.->") == 2 and text.count('-->|"sine (3,)"|') == 3 and text.count('-->|"order (3,)"|') == 1


def test_several_results_leave_a_folded_module():
    class Turned(nn.Module):
        def forward(self, x):
            return sincos(x * 2)

    module = Turned()
    sine, cosine = module(ns.tensor([1.0, 2.0], requires_grad=True))
    _, pen = check_drawing(ns.graph((sine * cosine).sum(), unfold=False))
    words = [label[4] for label in pen.labels]
    assert "2 operations folded" in words and {"sine (2,)", "cosine (2,)"} <= set(words)
    _, pen = check_drawing(ns.graph(sine.sum(), unfold=False))
    assert not any(label[4].startswith("cosine") for label in pen.labels)


def test_a_result_of_several_may_be_the_output():
    sine, cosine = sincos(ns.tensor(1.0, requires_grad=True))
    for y in (sine, cosine):
        _, pen = check_drawing(ns.graph(y, gradients=True))
        assert [kind for *_, kind in pen.boxes if kind in ("output", "unused result")] in (
            ["output", "unused result"],
            ["unused result", "output"],
        )


def test_names_of_results_have_numbers_only_where_they_are_taken():
    sine, _ = sincos(ns.tensor(1.0, requires_grad=True))
    y = sincos(sincos(sine)[1])[0]
    names = [v.name for v in ns.graph(y)._computation.values if v.kind == "result"]
    assert names == ["sine", "cosine", "sine2", "cosine2", "y", "cosine3"]


# Folding


def deep(blocks=12):
    layers = [layer for _ in range(blocks) for layer in (nn.Residual(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))), nn.ReLU())]  # fmt: skip
    model = nn.Sequential(nn.Linear(3, 4), *layers, nn.Linear(4, 1))
    return model, model(ns.tensor(np.ones((2, 3)), dtype="float32")).sum()


def kinds(graph):
    _, pen = check_drawing(graph)
    return {kind: sum(b[4] == kind for b in pen.boxes) for kind in ("operation", "module", "frame", "parameter")}


def test_large_networks_fold_by_module_and_small_ones_do_not():
    _model, y = deep()
    folded = kinds(ns.graph(y))
    assert folded == {"operation": 13, "module": 14, "frame": 1, "parameter": 0}
    assert kinds(ns.graph(y, unfold=True)) == {"operation": 63, "module": 0, "frame": 25, "parameter": 52}
    assert kinds(ns.graph(y, unfold=False)) == {"operation": 1, "module": 1, "frame": 0, "parameter": 0}
    assert kinds(ns.graph(y, unfold=1)) == folded
    _model, small = regression()
    assert kinds(ns.graph(small))["module"] == 0


def test_modules_unfold_by_their_paths():
    _model, y = deep(4)
    one = kinds(ns.graph(y, unfold="3.module"))
    assert one == {"operation": 7, "module": 7, "frame": 3, "parameter": 0}
    assert kinds(ns.graph(y, unfold=["3.module.0"])) == {"operation": 8, "module": 6, "frame": 3, "parameter": 2}
    with pytest.raises(ValueError, match=r"no module of that path .* choose from '', '0'"):
        ns.graph(y, unfold=["99"])
    with pytest.raises(TypeError, match="unfold is 1.5, expected True, False"):
        ns.graph(y, unfold=1.5)


def test_a_folded_module_tells_its_operations_and_parameters_and_opens_below_the_drawing():
    _model, y = deep()
    graph = ns.graph(y)
    _, pen = graph._drawn(graph._group)
    words = [label[4] for label in pen.labels]
    assert {"1 · Residual", "4 operations folded", "module.0.weight (4, 4)", "40 parameters"} <= set(words)
    page = graph._repr_html_()
    ElementTree.fromstring(page)
    assert page.count("<details") == 14 and "<script" not in page
    assert "1.module.0.weight" in page and "1.module.0.weight" not in graph.svg()


def test_a_module_called_twice_is_a_box_each_time():
    shared = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    y = shared(shared(ns.tensor([[1.0, 2.0]]))).sum()
    assert kinds(ns.graph(y, unfold=False))["module"] == 2
    assert kinds(ns.graph(y))["parameter"] == 2


# Large


def test_five_hundred_operations_are_drawn_and_thousands_refused_in_a_sentence():
    x, half = ns.tensor(1.0, requires_grad=True), ns.tensor(0.5)
    y = x
    for _ in range(500):
        y = y + half
    svg, pen = ns.graph(y)._drawn(ns.graph(y)._group)
    assert sum(b[4] == "operation" for b in pen.boxes) == 500 and len(svg) < 2_000_000
    for _ in range(2000):
        y = y + half
    with pytest.raises(ValueError, match=r"2,500 boxes would be drawn, and at most 2,000 can be read; fold modules"):
        ns.graph(y)


def test_a_wire_to_many_is_drawn_once():
    x = ns.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100):
        y = y * x
    assert len(ns.graph(y).svg()) < 250_000


# Words

NASTY = ['a<b & "c"', "<script>alert(1)</script>", "λ 损失", "]] --> |x|", "%% end", "\x00\x07", "a" * 300, "x'y`z#1;"]


@pytest.mark.parametrize("name", NASTY)
def test_names_are_escaped(name):
    w = ns.tensor([1.0, 2.0], requires_grad=True)
    graph = ns.graph((w * w).sum(), {name: w})
    check_drawing(graph)
    page = graph._repr_html_()
    ElementTree.fromstring(page)
    assert "<script" not in page
    for line in graph.mermaid().splitlines():
        assert line.count('"') in (0, 2) and "<script" not in line


@given(choices=CHOICES, unfold=st.sampled_from([None, True, False]))
def test_mermaid_is_well_formed(choices, unfold):
    y, _parts = random_graph(choices, True)
    lines = ns.graph(y, unfold=unfold).mermaid().splitlines()
    assert lines[0] == "graph TD"
    known, depth = set(), 0
    for line in lines[1:]:
        line = line.strip()
        if line == "end":
            depth -= 1
        elif line.startswith("subgraph"):
            assert re.fullmatch(r'subgraph m\d+_\d+\["[^"\n]+"\]', line), line
            depth += 1
        elif "->|" in line:
            source, target = re.fullmatch(r'(\w+) -(?:-|\.-)>\|"[^"]*"\| (\w+)', line).groups()
            assert {source, target} <= known, line
        else:
            name, shape = re.fullmatch(r'(\w+)(\(\[".*"\]\)|\[/".*"/\]|\[\[".*"\]\]|\[".*"\]|\(".*"\))', line).groups()
            assert name not in known and shape.count('"') == 2
            known.add(name)
        assert depth >= 0
    assert depth == 0


def test_users_operations_and_odd_values_are_drawn():
    @ns.op(formula=r"\begin{cases} x \end{cases} & \unknown", derivative="}{", name="odd<name>")
    def odd(x, scale=2.0):
        return x * scale

    @odd.rule("x")
    def _(g, scale):
        return g * scale

    x = ns.tensor(np.array([[np.nan, np.inf, -0.0]]), requires_grad=True)
    y = odd(x, 3.0).sum()
    svg, pen = check_drawing(ns.graph(y, gradients=True))
    assert "odd&lt;name&gt;" in svg and any("nan, inf, 0" in label[4] for label in pen.labels)
    empty = ns.tensor(np.zeros((0, 3)), requires_grad=True)
    check_drawing(ns.graph(empty.sum()))


def test_the_list_is_aligned():
    w = ns.tensor([1.0, 2.0], requires_grad=True)
    lines = str(ns.graph((w * w).sum(), {"w": w})).splitlines()
    assert lines[4].index("(2,)") == lines[5].index("number")
    assert repr(ns.graph(w * w)) == str(ns.graph(w * w))
    assert "[1, 4]" in lines[4] and "[1, 4]" not in str(ns.graph((w * w).sum(), values=False))


# Files


def test_saving(tmp_path):
    w = ns.tensor([1.0, 2.0], requires_grad=True)
    graph = ns.graph((w * w).sum(), {"w": w})
    for ending, expected in {".svg": graph.svg(), ".mmd": graph.mermaid(), ".txt": str(graph)}.items():
        graph.save(tmp_path / f"g{ending}")
        assert (tmp_path / f"g{ending}").read_text(encoding="utf-8") == expected + "\n"
    graph.save(tmp_path / "g.HTML")
    assert graph.svg() in (tmp_path / "g.HTML").read_text(encoding="utf-8")
    for wrong, said in {"g.gif": "its ending is .gif", "g": "its ending is missing"}.items():
        with pytest.raises(ValueError, match=rf"{said}; end it with .svg, .html, .mmd, .txt, .png, .pdf"):
            graph.save(tmp_path / wrong)
    with pytest.raises(TypeError, match="graph: path is a int"):
        graph.save(1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g.HTML", "g.mmd", "g.svg", "g.txt"]


def printed(svg, file):
    """A function of rectangles of a drawing: that part of its picture in a file, of numbers from 0 to 1."""
    from matplotlib.image import imread

    pixels = imread(file)
    scale = pixels.shape[1] / float(re.search(r'width="(\d+)"', svg)[1])

    def part(x, y, width, height):
        left, top = int(x * scale), int(y * scale)
        return pixels[top : int((y + height) * scale), left : int((x + width) * scale), :3]

    return part


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_picture_has_every_box_and_label_where_they_were_laid_out(name, tmp_path):
    _, loss = SYSTEMS[name]()
    graph = ns.graph(loss, gradients=True)
    graph.save(tmp_path / "g.png")
    graph.save(tmp_path / "g.pdf")
    assert (tmp_path / "g.pdf").read_bytes()[:5] == b"%PDF-"
    before = (tmp_path / "g.pdf").read_bytes()
    graph.save(tmp_path / "g.pdf")
    assert (tmp_path / "g.pdf").read_bytes() == before
    svg, pen = graph._drawn(graph._group, graph.notes)
    picture = printed(svg, tmp_path / "g.png")
    for x, y, width, height, words in pen.labels:
        if words.strip():
            part = picture(x, y, width, height)
            assert part.min() < 0.75 and part.max() > 0.85, words  # something dark on something light
    for x, y, width, _, kind in pen.boxes:
        if kind in ("parameter", "operation", "output"):
            edge = picture(x + width / 2 - 2, y - 1, 4, 3)
            assert edge.min() < 0.6, kind


def test_pictures_of_odd_words_and_long_graphs(tmp_path, monkeypatch):
    @ns.op(formula=r"\text{odd } 漢字 \& <x>")
    def odd(x):
        return x * 1

    odd.rule("x")(lambda g: g)
    y = x = ns.tensor([1.0, float("nan")], requires_grad=True)
    for _ in range(30):
        y = odd(y)
    graph = ns.graph(y, {"$x_1$ <a>": x}, gradients=False)
    monkeypatch.setattr(
        printing, "MOST_PIXELS", 2000
    )  # as many as a picture may have, of which this one would have more
    graph.save(tmp_path / "g.png")
    picture = (tmp_path / "g.png").read_bytes()
    assert picture[:4] == b"\x89PNG" and max(struct.unpack(">II", picture[16:24])) == 2000


@pytest.mark.parametrize("steps", [2, 4, 7])
@pytest.mark.parametrize("kind", ["apart", "one array", "projected"])
def test_the_steps_of_an_unrolled_network_follow_each_other(steps, kind):
    rng = np.random.default_rng(0)
    wx, wh = (ns.tensor(rng.standard_normal(s), requires_grad=True) for s in ((3, 2), (3, 3)))
    whole, h = ns.tensor(rng.standard_normal((1, steps, 2)), requires_grad=True), ns.tensor(np.zeros((1, 3)))
    for t in range(steps):
        x = ns.tensor(rng.standard_normal((1, 2))) if kind == "apart" else whole[:, t]
        if kind == "projected":
            x = ns.tanh(x)
        h = ns.tanh(F.linear(x, wx) + F.linear(h, wh))
    graph = ns.graph(h.sum())
    labels = graph._drawn(graph._group)[1].labels
    high = {int(words.partition(" · ")[0]): y for _, y, _, _, words in labels if re.match(r"\d+ · ", words)}
    last = {}
    for number, name in ((s.number, s.op.name) for s in graph._computation.steps):
        if name in ("linear", "add"):
            last.setdefault(name, []).append(high[number])
    added = last["add"]
    assert added == sorted(added)
    assert all(before < now for before, now in zip(added, last["linear"][2::2], strict=False))


def test_errors_are_one_sentence():
    x = ns.tensor([1.0, 2.0], requires_grad=True)
    cases = [
        (TypeError, lambda: ns.graph([1.0]), "graph: got "),
        (ValueError, lambda: ns.graph(ns.tensor(1.0)), "no computation was recorded"),
        (TypeError, lambda: ns.graph(x * x, ["x"]), "names is list, expected a dict"),
        (ValueError, lambda: ns.graph(x * x, gradients=True), "gradients are those of a single number"),
    ]
    for kind, call, said in cases:
        with pytest.raises(kind, match=said) as error:
            call()
        assert "\n" not in str(error.value)


def test_the_public_name_is_this_one():
    x = ns.tensor(2.0, requires_grad=True)
    assert isinstance(ns.graph(x * x), Graph)


def test_a_browser_draws_it_as_it_was_laid_out():
    """`tests/browser.py`, which looks at the drawings and explanations in Chromium."""
    run = subprocess.run([sys.executable, Path(__file__).parent / "browser.py"], capture_output=True, text=True)
    if run.returncode == 3:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stdout + run.stderr
