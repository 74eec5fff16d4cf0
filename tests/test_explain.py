"""ns.explain: every number is the engine's, every line's arithmetic gives it, and the page is well-formed."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import systems
from nnscratch.autograd import OPS
from nnscratch.view import formula, working
from nnscratch.view.computation import Computation


def s8():
    from nnscratch.systems import worked_2_3_1

    model = worked_2_3_1.SYSTEM.model()
    return model, F.cross_entropy(model(ns.tensor([worked_2_3_1.INPUT], dtype="float64")), [0])


def s1():
    ns.manual_seed(0)
    model = systems.get("regression-3-5-1").model()
    rng = np.random.default_rng(0)
    x, y = rng.random((10, 3), np.float32), rng.random((10, 1), np.float32)
    return model, F.mse_loss(model(ns.tensor(x)), ns.tensor(y))


def s2():
    ns.manual_seed(0)
    model = systems.get("mnist-cnn").model()
    x = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    return model, F.cross_entropy(model(ns.tensor(x)), [3, 7])


SYSTEMS = [s8, s1, s2]


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_array_is_the_engines_bit_for_bit(system):
    model, loss = system()
    explanation = ns.explain(loss)
    loss.backward()
    told = {e.name: e.array for part in explanation.backward for e in part.found}
    for name, p in model.named_parameters():
        assert told[f"∂y/∂{name}"].tobytes() == p.grad.numpy().tobytes(), name
    results = [e.array for part in explanation.forward for e in part.found]
    assert results[-1].tobytes() == loss.numpy().tobytes()
    for part, later in zip(explanation.forward, explanation.forward[1:], strict=False):
        assert any(part.found[0].array is e.array for e in later.given)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_text_and_the_page_show_the_same_numbers(system):
    explanation = ns.explain(system()[1])
    page = ElementTree.fromstring(explanation._repr_html_())
    shown = "".join(page.itertext())
    for part in (*explanation.forward, *explanation.backward):
        assert part.title in str(explanation) and part.title in shown
        for e in part.found:
            for _, latex, value in e.lines:
                said = formula.text(latex)
                assert f"{said} = {value + 0.0:.6g}" in str(explanation) and said in shown


SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def value(said):
    """The value of a line's arithmetic."""
    python = (
        said.replace("·", "*")
        .replace("²", "**2")
        .replace("½", "(1 / 2)")
        .replace("¼", "(1 / 4)")
        .replace("^", "**")
        .replace("∞", "inf")
    )
    python = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: f"**({m[0].translate(SUPERSCRIPTS)})", python)
    python = re.sub(r"\|([^|]*)\|", r"abs(\1)", python)
    python = python.replace("[", "(").replace("]", ")").replace(" = ", " == ")
    python = re.sub(
        r"\b(ln|cos|sin|tan|tanh|sinh|cosh|arcsin|arccos|arctan|erf|erfc|sign|Φ|φ|σ) (\(-?[\d.]+\)|[\d.]+)",
        r"\1(\2)",
        python,
    )
    python = re.sub(r"\btan\*\*2 ([\d.]+)", r"tan(\1)**2", python).replace("tanh ln(", "tanh_ln(")
    python = re.sub(r"√(\(-?[\d.]+\)|[\d.]+)", r"sqrt(\1)", python).replace("√", "sqrt")
    python = re.sub(r"(?<=\d)(?=sqrt)", " * ", python)
    python = re.sub(r"(?<=[\d)]) (?=[(A-Za-z√Φφσ])(?!if )", " * ", python)
    known = {name: getattr(math, name) for name in "cos sin tan tanh sinh cosh erf erfc sqrt floor ceil inf".split()}
    known |= {"ln": math.log, "arcsin": math.asin, "arccos": math.acos, "arctan": math.atan, "max": max, "min": min}
    known |= {"abs": abs, "sign": lambda v: float(np.sign(v)), "e": math.e, "pi": math.pi, "π": math.pi}
    known |= {
        "Φ": lambda v: 0.5 * math.erfc(-v / math.sqrt(2)),
        "φ": lambda v: math.exp(-v * v / 2) / math.sqrt(2 * math.pi),
    }
    known |= {"tanh_ln": lambda v: math.tanh(math.log(v)), "σ": lambda v: 1 / (1 + math.exp(-v))}
    return float(eval(python, {"__builtins__": {}}, known))


def lines(explanation):
    for part in (*explanation.forward, *explanation.backward):
        for e in part.found:
            for at, latex, expected in e.lines:
                yield f"{part.title}: {at}", formula.text(latex), expected


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_arithmetic_of_every_line_gives_its_number(system):
    for what, said, expected in lines(ns.explain(system()[1])):
        if "…" not in said:
            assert value(said) == pytest.approx(float(expected), rel=1e-4, abs=1e-5), f"{what} = {said}"


def single(x):
    return ns.tensor(x, dtype="float64", requires_grad=True)


@pytest.mark.parametrize("name", [n for n, o in OPS.items() if o.names == ("x",) and o.rules and not o.outputs])
@pytest.mark.parametrize("x", [0.3, 2.5])
def test_operations_on_one_input_are_written_out_rightly(name, x):
    x = {"acosh": 1.5, "asin": 0.3, "acos": 0.3, "atanh": 0.3}.get(name, x)
    explanation = ns.explain(ns.sum(OPS[name](single([x, -x if name in ("tanh", "relu", "sigmoid", "abs") else x]))))
    written = list(lines(explanation))
    for what, said, expected in written:
        if "?" not in said and "∫" not in said and "where" not in said:
            assert value(said) == pytest.approx(float(expected), rel=1e-4, abs=1e-6), f"{what} = {said}"
    unwritten = "trunc round copy erf mish softsign hardswish normal_cdf log_likelihood".split()
    assert len(written) >= 3 or name in unwritten, name


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum"])
def test_operations_on_two_inputs_are_written_out_rightly(name):
    explanation = ns.explain(ns.sum(OPS[name](single([2.0, 0.5]), single([0.25, 1.5]))))
    written = list(lines(explanation))
    assert len(written) >= (3 if name in ("maximum", "minimum") else 5)  # their one derivative is of both inputs
    for what, said, expected in written:
        assert value(said) == pytest.approx(float(expected), rel=1e-4, abs=1e-6), f"{what} = {said}"


P, Q = [[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], [[0.0, 1.0, 0.0], [0.5, 0.25, 0.25]]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "loss",
    [
        lambda x, r: F.mse_loss(x, ns.tensor(Q, dtype="float64"), reduction=r),
        lambda x, r: F.cross_entropy(x, ns.tensor(Q, dtype="float64"), reduction=r),
        lambda x, r: F.cross_entropy(x, ns.tensor(Q, dtype="float64"), from_logits=True, reduction=r),
        lambda x, r: F.binary_cross_entropy(x, ns.tensor(Q, dtype="float64"), reduction=r),
        lambda x, r: F.binary_cross_entropy(x, ns.tensor(Q, dtype="float64"), from_logits=True, reduction=r),
    ],
    ids="mse ce ce_logits bce bce_logits".split(),
)
def test_losses_are_written_out_rightly(loss, reduction):
    x = single(P)
    computation = Computation(loss(x, reduction), gradients=True)
    step = computation.steps[-1]
    for index in np.ndindex(2, 3):
        said = formula.text(working.gradient(step, 0, index))
        assert value(said) == pytest.approx(step.gradients[0][index], rel=1e-4, abs=1e-6), said
    said = formula.text(working.result(step, ()))
    if "…" not in said:
        assert value(said) == pytest.approx(float(step.result.array), rel=1e-4), said


def test_a_value_used_twice_gets_its_gradients_added():
    x = single([1.0, 2.0])
    explanation = ns.explain(ns.sum(x * x), {"x": x})
    found = explanation.backward[-1].found
    assert [e.note for e in found] == ["from this use", "from this use", "all uses together"]
    assert found[-1].array.tolist() == [2.0, 4.0]


@pytest.fixture
def every_term(monkeypatch):
    monkeypatch.setattr(working, "TERMS", 10**9)
    monkeypatch.setattr(working, "DIGITS", 17)


#: Operations whose sums are written out, and the inputs and results that are left to words.
SUMS = {
    "linear": {"x"},  # of a vector alone
    "matmul": {"a", "b", "y"},
    "conv2d": set(),
    "conv2d_input": set(),
    "conv2d_weight": set(),
    "max_pool2d": {"index"},
    "sum_pool2d": set(),
    "standardize": {"mean"},
    "dropped": set(),
    "sum": {"x"},
    "mean": set(),
    "var": {"x"},
    "max": {"x"},
    "min": {"x"},
    "softmax": {"x"},
}


@pytest.mark.parametrize(("name", "case"), [(n, c) for n in SUMS for c in OPS[n].samples], ids=lambda a: str(a)[:60])
def test_sums_are_written_out_for_every_element(name, case, every_term):
    rng = np.random.default_rng(0)
    op, (args, kwargs) = OPS[name], case.make(rng)
    args = [single(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args]
    kwargs = {k: single(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for k, a in kwargs.items()}
    results = op(*args, **kwargs)
    first = results[0] if op.outputs else results
    if not first.size:
        return
    step = Computation(ns.sum(first * ns.tensor(rng.standard_normal(first.shape))), gradients=True).steps[0]
    assert step.op is op
    left = SUMS[name]
    for k, v in enumerate(step.results):
        for index in np.ndindex(v.shape):
            said = working.result(step, index, k)
            assert said or (op.outputs or ("y",))[k] in left, (index, k)
            if said:
                assert value(formula.text(said)) == pytest.approx(v.array[index], rel=1e-9, abs=1e-12), said
    for position, d in step.gradients.items():
        for index in np.ndindex(d.shape):
            said = working.gradient(step, position, index)
            assert said or op._input_name(position) in left, (op._input_name(position), index)
            if said:
                assert value(formula.text(said)) == pytest.approx(d[index], rel=1e-9, abs=1e-12), said


@pytest.mark.parametrize(
    "settings", [(2,), (3, 1, 1), ((2, 3), (1, 2), ((1, 0), (0, 2))), (2, 2, 0, 2), (2, 3, 0, 1, True), (3, 2, "same")]
)
def test_windows_of_pooling_are_those_of_the_engine(settings, every_term):
    x = single(np.random.default_rng(0).permutation(60).reshape(1, 2, 5, 6) - 30)
    step = Computation(ns.sum(F.max_pool2d(x, *settings) ** 2), gradients=True).steps[0]
    for index in np.ndindex(step.result.shape):
        assert value(formula.text(working.result(step, index))) == step.result.array[index]
    for index in np.ndindex(x.shape):
        assert value(formula.text(working.gradient(step, 0, index))) == step.gradients[0][index]


def test_pooling_by_two_shows_its_windows():
    x = single(np.arange(16.0).reshape(1, 1, 4, 4))
    said = str(ns.explain(F.max_pool2d(x, 2).sum(), {"x": x}))
    assert "values[0, 0, 0, 1] = max(2, 3, 6, 7) = 7" in said and "values[0, 0, 1, 0] = max(8, 9, 12, 13) = 13" in said


def test_a_small_network_of_every_kind_of_layer_is_worked_out():
    ns.manual_seed(0)
    nn = ns.nn
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, stride=2, dtype="float64"),
        nn.BatchNorm2d(4, dtype="float64"),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.LayerNorm(16, dtype="float64"),
        nn.Linear(16, 3, dtype="float64"),
    )
    x = single(np.random.default_rng(0).standard_normal((2, 1, 8, 8)))
    explanation = ns.explain(F.cross_entropy(model(x), [0, 2], from_logits=True))
    for what, said, expected in lines(explanation):
        if "…" not in said:
            assert value(said) == pytest.approx(float(expected), rel=1e-4, abs=1e-5), f"{what} = {said}"
    told = {
        part.title.split(" = ")[1].split("(")[0]: [bool(e.lines) for e in part.found] for part in explanation.forward
    }
    assert {name for name, found in told.items() if not found[0]} == {"reshape"}
    untold = {
        part.title.split(" = ")[1].split("(")[0]
        for part in explanation.backward
        if not all(e.lines for e in part.found)
    }
    assert untold == {"reshape", "sum_pool2d"}  # where each gradient is one number that came
    mask = next(e for part in explanation.forward for e in part.given if e.name == "mask")
    assert mask.note == "drawn at random: 0 for what is left out, else 1 / (1 - p)"


def test_a_large_array_shows_its_largest_element_or_the_one_asked_for():
    x = single(np.concatenate([np.zeros(50), [1.0, -7.0, 3.0]]).reshape(1, 53))
    w = single(np.ones((1, 53)))
    y = ns.sum(ns.tanh(x) * w)
    at = {
        part.title: [line[0] for e in part.found for line in e.lines]
        for part in ns.explain(y, {"x": x, "w": w}).forward
    }
    assert at["h1 = tanh(x)"] == ["h1[0, 51]"]
    said = str(ns.explain(y, {"x": x, "w": w}, element=(0, -1)))
    assert "h1[0, 52] = (e³ - e⁻³) / (e³ + e⁻³) = 0.995055" in said and "∂y/∂w[0, 52] = 1 · 0.995055 = 0.995055" in said
    said = str(ns.explain(y, {"x": x, "w": w}, element={"h1": (0, 50), "w": [0, 49]}))
    assert "h1[0, 50] = (e¹ - e⁻¹) / (e¹ + e⁻¹) = 0.761594" in said and "∂y/∂w[0, 49] = 1 · 0 = 0" in said
    page = ns.explain(y, {"x": x}, element={"h1": (0, 50)})
    ElementTree.fromstring(page._repr_html_())


def test_an_element_asked_for_is_shown_where_nothing_can_be_written():
    x = single(np.arange(6.0))
    said = str(ns.explain(ns.sum(ns.cumsum(x)), {"x": x}, element=3))
    assert "h1[3] = 6" in said and "∂y/∂x[3] = 3" in said


@pytest.mark.parametrize(
    ("element", "error", "message"),
    [
        ((9, 9), ValueError, r"explain: element is \(9, 9\), and no array here has it; pass one of x \(6,\)"),
        (0.5, TypeError, "explain: element is 0.5, expected whole numbers; pass a tuple"),
        (True, TypeError, "explain: element is True, expected whole numbers"),
        ({"z": 0}, ValueError, "explain: element names 'z', and no array here is called so; choose from x, h1, y"),
        ({"x": 6}, ValueError, r"explain: element 6 lies outside x, of shape \(6,\); pass an index within"),
        ({"x": "a"}, TypeError, "explain: element is 'a', expected whole numbers"),
    ],
)
def test_an_element_that_is_not_there_is_refused(element, error, message):
    x = single(np.arange(6.0))
    with pytest.raises(error, match=message):
        ns.explain(ns.sum(ns.tanh(x)), {"x": x}, element=element)


def test_products_of_matrices_are_written_out():
    a, b = single([[1.0, 2.0], [3.0, 4.0]]), single([[5.0], [6.0]])
    said = str(ns.explain(ns.sum(a @ b), locals()))
    assert "h1[1, 0] = 3 · 5 + 4 · 6 = 39" in said
    assert "∂y/∂b[0, 0] = 1 · 1 + 3 · 1 = 4" in said


@ns.op(
    outputs=("h", "c", "gate"),
    formula=r"h = \tanh c, \quad c = before + gate, \quad gate = \sigma(x w)",
    derivative=r"(g_h (1 - h^2) + g_c + g_{gate}) \cdot gate \cdot (1 - gate) \cdot w, \quad g_h (1 - h^2) + g_c, \quad "
    r"(g_h (1 - h^2) + g_c + g_{gate}) \cdot gate \cdot (1 - gate) \cdot x",
)
def memory(x, before, w):
    gate = 1 / (1 + np.exp(-x * w))
    return np.tanh(before + gate), before + gate, gate


@memory.rule("x")
def _(g_h, g_c, g_gate, h, gate, w):
    return (g_h * (1 - h * h) + g_c + g_gate) * gate * (1 - gate) * w


@memory.rule("before")
def _(g_h, g_c, h):
    return g_h * (1 - h * h) + g_c


@memory.rule("w")
def _(g_h, g_c, g_gate, h, gate, x):
    return (g_h * (1 - h * h) + g_c + g_gate) * gate * (1 - gate) * x


def remembered():
    x, before, w = single([0.5, 1.0]), single([0.25, -1.0]), single([2.0, -0.5])
    h, c, _ = memory(x, before, w)
    h2, _, gate2 = memory(h, c, w)
    y = ns.sum(h2 * gate2 * c)
    return y, {"x": x, "before": before, "w": w, "y": y, "gate2": gate2}


def test_several_results_are_told_with_their_names_and_gradients():
    y, names = remembered()
    explanation = ns.explain(y, names)
    assert explanation.forward[0].title == "h, c, gate = memory(x, before, w)"
    assert explanation.forward[1].title == "h2, c2, gate2 = memory(h, c, w)"
    assert [e.note for e in explanation.forward[0].found] == ["", "", "not used on the way to y"]
    back = explanation.backward[-2]
    assert back.title == "back through h2, c2, gate2 = memory(h, c, w)"
    assert [(e.name, e.note) for e in back.given] == [
        ("∂y/∂h2", ""),
        ("∂y/∂c2", "not used on the way to y"),
        ("∂y/∂gate2", ""),
    ]
    assert formula.text(dict(back.rules)["before"]) == "∂y/∂h2 (1 - h²) + ∂y/∂c2"
    said = str(explanation)
    assert "h2, c2, gate2 = memory(h, c, w)" in said and "∂y/∂gate2" in said and "g_" not in said
    ElementTree.fromstring(explanation._repr_html_())


def test_every_number_of_several_results_is_the_engines_bit_for_bit():
    y, names = remembered()
    explanation = ns.explain(y, names)
    y.backward()
    told = {e.name: e.array for part in explanation.backward for e in part.found}
    for name in ("x", "before", "w"):
        assert told[f"∂y/∂{name}"].tobytes() == names[name].grad.numpy().tobytes(), name
    expected = memory(*(names[name].numpy() for name in ("x", "before", "w")))
    for e, a in zip(explanation.forward[0].found, expected, strict=True):
        assert e.array.tobytes() == a.tobytes()
    gate2 = names["gate2"]
    given = {e.name: e.array for part in explanation.backward for e in part.given}
    assert given["∂y/∂gate2"].tobytes() == ns.grad(y, gate2).numpy().tobytes()


def test_the_arithmetic_of_several_results_gives_their_numbers():
    written = list(lines(ns.explain(*remembered())))
    assert sum("memory" in what for what, *_ in written) == 2 * 3 * 2 + 2 * 3 * 2
    for what, said, expected in written:
        assert value(said) == pytest.approx(float(expected), rel=1e-4, abs=1e-5), f"{what} = {said}"


def test_whole_numbers_among_the_results_are_told():
    @ns.op(outputs=("values", "places"))
    def ordered(x):
        return np.sort(x), np.argsort(x)

    ordered.rule("x")(lambda g_values, places, x_shape: ns.put_add(g_values, x_shape, places))
    values, places = ordered(single([2.0, 1.0]))
    explanation = ns.explain(ns.sum(values * places))
    assert explanation.forward[0].title == "values, places = ordered(x)"
    assert explanation.forward[1].given[1].name == "places"
    assert [e.name for e in explanation.backward[-1].given] == ["∂y/∂values"]
    assert "→ places = [1, 0]" in str(explanation)


def test_what_a_fused_loss_computes_on_the_way_is_shown():
    x = single([[0.5, -0.5]])
    part = ns.explain(F.cross_entropy(x, [0], from_logits=True), {"x": x}).forward[-1]
    assert part.given[-1].name == "ŷ" and part.given[-1].array == pytest.approx(F.softmax(x).numpy())


def test_looking_changes_nothing():
    model, loss = s1()
    before = [loss._node.data is None, loss._node.args[0].data is None]
    ns.explain(loss)
    assert [loss._node.data is None, loss._node.args[0].data is None] == before
    assert all(p.grad is None for p in model.parameters())
    loss.backward()
    first = [p.grad.numpy().copy() for p in model.parameters()]
    str(ns.explain(loss))
    for p, g in zip(model.parameters(), first, strict=True):
        assert p.grad.numpy().tobytes() == g.tobytes()


def test_a_users_operation_is_told_with_its_own_formula():
    @ns.op(formula=r"f(x) = x^3", derivative="3x^2")
    def cube(x):
        return x**3

    @cube.rule("x")
    def _(g, x):
        return 3 * g * x**2

    x = single(2.0)
    said = str(ns.explain(cube(x), {"x": x}))
    assert "y = 2³ = 8" in said and "∂y/∂x = 1 · (3 · 2²) = 12" in said


def test_an_operation_without_formula_or_with_odd_text_is_told_too():
    @ns.op(formula=r"\begin{cases} <b> & \frac \end{cases}")
    def odd(x):
        return x * 2

    @odd.rule("x")
    def _(g):
        return 2 * g

    explanation = ns.explain(odd(single([1.0])), {})
    ElementTree.fromstring(explanation._repr_html_())
    assert "→ y = [2]" in str(explanation)


def test_several_elements_have_no_backward_pass():
    explanation = ns.explain(single([1.0, 2.0]) * 2)
    assert explanation.backward == [] and "Reduce it with .sum() or .mean()" in str(explanation)


def test_saving(tmp_path):
    _, loss = s8()
    ns.explain(loss).save(tmp_path / "s8.html")
    ns.explain(loss).save(tmp_path / "s8.txt")
    assert (tmp_path / "s8.txt").read_text().strip() == str(ns.explain(loss))
    assert "<svg" in (tmp_path / "s8.html").read_text()
    with pytest.raises(ValueError, match=r"ends in neither .html nor .txt; choose one of them"):
        ns.explain(loss).save(tmp_path / "s8.pdf")


def test_mistakes_end_in_one_sentence():
    with pytest.raises(TypeError, match="explain: got 3, expected a Tensor; pass the result"):
        ns.explain(3)
    with pytest.raises(ValueError, match="no computation was recorded behind this tensor"):
        ns.explain(ns.tensor([1.0]))
    with pytest.raises(TypeError, match="names is list, expected a dict from name to Tensor; pass locals"):
        ns.explain(single(1.0) * 2, [1])
    model, loss = s1()
    loss.backward()
    ns.optim.SGD(model.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match="changed in place after the operation used it; compute the tensor anew"):
        ns.explain(loss)


def test_names_that_are_taken_stay_apart():
    a, b = single([1.0]), single([2.0])
    names = [v.name for v in Computation(ns.sum(F.relu(a) + F.relu(b))).values]
    assert len(set(names)) == len(names)


def test_a_sums_formula_has_no_mean_in_it():
    x = single([1.0, 3.0])
    y = ns.tensor([0.0, 1.0], dtype="float64")
    said = str(ns.explain(F.mse_loss(x, y, reduction="sum"), {"x": x}))
    assert "L = Σ_i (y_i - ŷ_i)²" in said and "derivative: 2 (ŷ_i - y_i)" in said
    assert "L = (1 / n) Σ_i (y_i - ŷ_i)²" in str(ns.explain(F.mse_loss(x, y), {"x": x}))


def test_kinds_of_values():
    w, x = single([1.0]), ns.tensor([2.0], dtype="float64")
    layer = ns.nn.Linear(1, 1, dtype="float64")
    kinds = {v.name: v.kind for v in Computation(ns.sum(layer(x * w) + np.array([1.0])), locals()).values}
    assert (
        kinds["w"] == "variable"
        and kinds["x"] == "input"
        and kinds["weight"] == "parameter"
        and kinds["b"] == "constant"
    )


def test_a_model_that_is_gone_leaves_a_computation_to_be_told():
    loss = s1()[1]
    assert [f.path for f in Computation(loss).steps[0].frames] == ["", ""]
    assert "h1 = linear" in str(ns.explain(loss))


def test_certain_outcomes_are_not_written_out_wrongly():
    p, y = single([0.0, 0.5]), ns.tensor([0.0, 1.0], dtype="float64")
    part = ns.explain(F.binary_cross_entropy(p, y)).forward[-1]
    assert part.found[0].lines == [] and float(part.found[0].array) == pytest.approx(-math.log(0.5) / 2)


def test_the_way_back_has_its_own_colour_with_or_without_a_derivative():
    @ns.op
    def double(x):
        return x * 2

    @double.rule("x")
    def _(g):
        return 2 * g

    page = ns.explain(double(single(1.0)))._repr_html_()
    assert page.count("border-left:3px solid #0072b2") == page.count("border-left:3px solid #d55e00") == 1


# Modules folded


def blocks():
    """A small GPT's loss: two blocks, each used twice in a row by its own residual sums."""
    ns.manual_seed(0)
    layer = ns.nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)
    model = ns.nn.Sequential(ns.nn.Linear(3, 4), ns.nn.TransformerEncoder(layer, 2), ns.nn.Linear(4, 2))
    return model, model(ns.tensor(np.random.default_rng(0).normal(size=(1, 3, 3)).astype("float32"))).sum()


def test_a_transformer_s_blocks_are_folded_where_they_are_asked_to_be():
    _, loss = blocks()
    folded = ns.explain(loss, unfold=2)
    titles = [part.title for part in folded.forward]
    assert titles[0].startswith("h1 = linear(")
    assert [title.partition(" = ")[2].partition("(")[0] for title in titles] == [
        "linear",
        "1.layers.0",
        "1.layers.1",
        "linear",
        "sum",
    ]
    assert folded.forward[1].where == "TransformerEncoderLayer, 19 operations folded"
    assert "1.layers.0(h1)    [TransformerEncoderLayer, 19 operations folded]" in str(folded)
    assert "unfold=True opens all of them" in str(folded) and "unfold=True opens all of them" in folded._repr_html_()
    opened = ns.explain(loss, unfold="1.layers.1")
    assert (
        sum("folded" in part.where for part in opened.forward) == 2
    )  # the first block, and the attention of the second
    whole = ns.explain(loss, unfold=True)
    assert len(whole.forward) == 41
    assert "folded" not in str(whole)
    assert len(ns.explain(loss).forward) <= 30  # as ns.graph has it


@pytest.mark.parametrize("unfold", [False, 1, 2, 3, "1.layers.1.self_attn"])
def test_folded_modules_tell_the_gradients_that_their_steps_do(unfold):
    model, loss = blocks()
    loss.backward()
    told = {}
    for part in ns.explain(loss, unfold=unfold).backward:
        told |= {entry.name: entry.array for entry in part.found}  # of several uses all together come last
    y = loss_name(ns.explain(loss))
    for name, p in model.named_parameters():
        np.testing.assert_allclose(told[f"∂{y}/∂{name}"], p.grad.numpy(), rtol=1e-5, atol=1e-6)


def loss_name(explanation):
    return explanation._computation.output.name


def test_an_element_that_is_asked_for_is_told_though_modules_are_folded_by_themselves():
    _, loss = blocks()
    assert len(ns.explain(loss, element=(0, 0, 0)).forward) == 41


@pytest.mark.parametrize(
    ("unfold", "kind", "message"),
    [(2.5, TypeError, "explain: unfold is 2.5"), ("9", ValueError, "explain: unfold names '9'")],
)
def test_what_cannot_be_unfolded_is_refused(unfold, kind, message):
    with pytest.raises(kind, match=f"^{message}"):
        ns.explain(blocks()[1], unfold=unfold)
