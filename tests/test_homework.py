"""Gradients written by hand in plain NumPy: what two of the documents print, with their errors found, and classic homework.

The networks are S5 (001 §5) and S1 (000 §4) of the documents' index, the errors E3, E4 and E5. A line of a document
stands above what transcribes it.
"""

import numpy as np
import pytest

import nnscratch as ns


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def wrong_rows(fn, inputs, gradient):
    """The row of the worst element of each input whose gradient the check finds wrong, by the input's name."""
    with pytest.raises(ns.GradientError) as caught:
        ns.gradcheck(fn, inputs, gradient=gradient, mode="full")
    return {row.input: row for row in caught.value.report.rows if row.status == "wrong"}


def accept(fn, inputs, gradient):
    for mode in ("projection", "full"):
        report = ns.gradcheck(fn, inputs, gradient=gradient, mode=mode)
        assert report.passed and len(report.compared) == len(report.rows)


# S5, the network of one hidden layer of 001 §5, for one sample x


def hand_written(n_input, n_hidden, n_output, seed=0):
    """Weights as the document draws them, `W1 = np.random.rand(n_hidden, n_input)` and so on, and a sample."""
    rng = np.random.default_rng(seed)
    shapes = [(n_hidden, n_input), (n_hidden,), (n_output, n_hidden), (n_output,)]
    return [rng.random(shape) for shape in shapes], rng.normal(size=n_input), rng.integers(0, 2, n_output)


def forward(x, W1, b1, W2, b2):
    # z1 = W1.dot(x) + b1
    z1 = W1.dot(x) + b1
    # a1 = np.maximum(0, z1)  # ReLU激活函数
    a1 = np.maximum(0, z1)
    # z2 = W2.dot(a1) + b2
    z2 = W2.dot(a1) + b2
    # y_hat = np.sigmoid(z2)            (which NumPy does not have)
    return a1, sigmoid(z2)


def mean_squared_error(x, y):
    """J of 001 §5, with labels that are given."""

    def J(W1, b1, W2, b2):
        # J = np.mean((y - y_hat)**2)
        return np.mean((y - forward(x, W1, b1, W2, b2)[1]) ** 2)

    return J


def own_labels(y_hat):
    # y = np.array([1 if y <= 0.5 else 0 for y in y_hat])
    return np.array([1 if y <= 0.5 else 0 for y in y_hat])


def hand_written_gradient(x, y, by_output, outer=np.outer):
    """The backward pass of 001 §5, from the gradient by z2."""

    def gradient(W1, b1, W2, b2):
        a1, y_hat = forward(x, W1, b1, W2, b2)
        dz2 = by_output(y_hat, y)
        # dW2 = a1.T.dot(dz2)
        dW2 = outer(dz2, a1)
        # db2 = dz2
        db2 = dz2
        # da1 = W2.T.dot(dz2)
        da1 = W2.T.dot(dz2)
        # dz1 = da1 * (a1 > 0)  # ReLU激活函数的导数
        dz1 = da1 * (a1 > 0)
        # dW1 = x.T.dot(dz1)
        dW1 = outer(dz1, x)
        # db1 = dz1
        return dW1, dz1, dW2, db2

    return gradient


def as_printed(y_hat, y):
    # dz2 = y_hat - y
    return y_hat - y


def of_squared_error(y_hat, y):
    return 2 / y_hat.size * (y_hat - y) * y_hat * (1 - y_hat)


def test_e5_the_letter_of_the_text_multiplies_vectors_to_a_number():
    weights, x, y = hand_written(3, 3, 3)
    printed = hand_written_gradient(x, y, as_printed, outer=lambda d, a: a.T.dot(d))
    with pytest.raises(ValueError, match=r"shape \(\) for W1, expected \(3, 3\)"):
        ns.gradcheck(mean_squared_error(x, y), weights, gradient=printed)


def test_e5_the_gradient_is_that_of_another_loss():
    weights, x, y = hand_written(3, 4, 1)
    printed = hand_written_gradient(x, y, as_printed)
    wrong = wrong_rows(mean_squared_error(x, y), weights, printed)
    y_hat = forward(x, *weights)[1].item()
    assert set(wrong) == {"W1", "b1", "W2", "b2"}
    for row in wrong.values():  # the factor 2 ŷ (1 - ŷ) is missing everywhere
        assert row.analytic / row.numeric == pytest.approx(1 / (2 * y_hat * (1 - y_hat)), rel=1e-8)

    def cross_entropy(W1, b1, W2, b2):
        y_hat = forward(x, W1, b1, W2, b2)[1]
        return -np.sum(y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat))

    accept(cross_entropy, weights, printed)


@pytest.mark.parametrize("n_output", [1, 3])
def test_e5_corrected(n_output):
    weights, x, y = hand_written(3, 4, n_output)
    accept(mean_squared_error(x, y), weights, hand_written_gradient(x, y, of_squared_error))


def test_e5_the_loss_ignores_the_labels():
    weights, x, y = hand_written(3, 4, 2)

    def loss(y, b2):
        y_hat = forward(x, *weights[:3], b2)[1]
        y = own_labels(y_hat)
        return np.mean((y - y_hat) ** 2)

    def gradient(y, b2):
        y_hat = forward(x, *weights[:3], b2)[1]
        return 2 / y.size * (y - y_hat), of_squared_error(y_hat, own_labels(y_hat))

    wrong = wrong_rows(loss, [y.astype(float), weights[3]], gradient)
    assert set(wrong) == {"y"}
    assert wrong["y"].numeric == 0 and wrong["y"].analytic != 0


def test_e5_labels_of_its_own_give_the_loss_a_kink():
    (W1, b1, W2, _), x, y = hand_written(3, 4, 1)

    def loss(labels):
        def J(b2):
            y_hat = forward(x, W1, b1, W2, b2)[1]
            return np.mean((labels(y_hat) - y_hat) ** 2)

        def gradient(b2):
            y_hat = forward(x, W1, b1, W2, b2)[1]
            return of_squared_error(y_hat, labels(y_hat))

        a1, _ = forward(x, W1, b1, W2, 0.0)
        return ns.gradcheck(J, [-W2.dot(a1)], gradient=gradient)  # where ŷ is 0.5

    assert loss(own_labels).kinks
    assert not loss(lambda y_hat: y).kinks


# S1, the 3-5-1 network of 000 §4, for rows of samples


def regression(n, seed=0):
    """Weights as the document draws them, `w_h = np.random.randn(n_inputs, n_hidden)` and so on, and n samples."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(shape) for shape in ((3, 5), (5,), (5, 1), (1,))]
    return weights, rng.standard_normal((n, 3)), rng.random((n, 1))


def identity(z):
    return z


def slope(z):
    return sigmoid(z) * (1 - sigmoid(z))


def forward_pass(x, w_h, b_h, w_out, b_out, hidden=identity):
    # z_h = np.dot(x, w_h) + b_h
    z_h = np.dot(x, w_h) + b_h
    # z_out = np.dot(z_h, w_out) + b_out          (the hidden layer has no activation)
    z_out = np.dot(hidden(z_h), w_out) + b_out
    # y_hat = sigmoid(z_out)
    return z_h, sigmoid(z_out)


def loss_as_printed(x, y):
    def loss(w_h, b_h, w_out, b_out):
        _, y_hat = forward_pass(x, w_h, b_h, w_out, b_out)
        # return 0.5 * np.mean((y - y_hat) ** 2)
        return 0.5 * np.mean((y - y_hat) ** 2)

    return loss


def backward_pass(x, y, hidden=identity, hidden_slope=slope, factor=1.0, total=lambda d: np.sum(d, axis=0)):
    """The backward pass of 000 §4; a `factor` of 1, the slope of a sigmoid and np.sum are what it prints."""

    def gradient(w_h, b_h, w_out, b_out):
        z_h, y_hat = forward_pass(x, w_h, b_h, w_out, b_out, hidden)
        # d_out = (y - y_hat) * y_hat * (1 - y_hat)
        d_out = factor * (y - y_hat) * y_hat * (1 - y_hat)
        # d_z_out = np.dot(d_out, w_out.T)
        d_z_out = np.dot(d_out, w_out.T)
        # d_w_out = np.dot(z_h.T, d_out)
        d_w_out = np.dot(hidden(z_h).T, d_out)
        # d_b_out = np.sum(d_out)
        d_b_out = total(d_out)
        # d_h = d_z_out * sigmoid(z_h) * (1 - sigmoid(z_h))
        d_h = d_z_out * hidden_slope(z_h)
        # d_w_h = np.dot(x.T, d_h)
        d_w_h = np.dot(x.T, d_h)
        # d_b_h = np.sum(d_h)
        d_b_h = total(d_h)
        # return d_w_h, d_w_out, d_b_h, d_b_out
        return d_w_h, d_b_h, d_w_out, d_b_out

    return gradient


def test_e4_the_letter_of_the_text_sums_the_biases_to_a_number():
    weights, x, y = regression(4)
    with pytest.raises(ValueError, match=r"shape \(\) for b_h, expected \(5,\)"):
        ns.gradcheck(loss_as_printed(x, y), weights, gradient=backward_pass(x, y, total=np.sum))


@pytest.mark.parametrize("n", [1, 4])
def test_e4_the_gradient_is_the_negative(n):
    weights, x, y = regression(n)
    wrong = wrong_rows(loss_as_printed(x, y), weights, backward_pass(x, y))
    assert set(wrong) == {"w_h", "b_h", "w_out", "b_out"}
    for name in ("w_out", "b_out"):  # and that of the sum, where the loss is the mean
        assert wrong[name].analytic / wrong[name].numeric == pytest.approx(-n, rel=1e-8)


def test_e4_the_hidden_layer_is_differentiated_as_if_it_had_an_activation():
    weights, x, y = regression(1)
    wrong = wrong_rows(loss_as_printed(x, y), weights, backward_pass(x, y, factor=-1.0))
    assert set(wrong) == {"w_h", "b_h"}
    z_h, _ = forward_pass(x, *weights)
    for row in wrong.values():
        unit = row.index[-1]
        assert row.analytic / row.numeric == pytest.approx(slope(z_h)[0, unit], rel=1e-8)


@pytest.mark.parametrize("n", [1, 4])
def test_e4_corrected(n):
    weights, x, y = regression(n)
    as_coded = backward_pass(x, y, factor=-1 / n, hidden_slope=np.ones_like)
    accept(loss_as_printed(x, y), weights, as_coded)

    def as_in_the_formulas(w_h, b_h, w_out, b_out):
        return np.mean((y - forward_pass(x, w_h, b_h, w_out, b_out, sigmoid)[1]) ** 2)

    accept(as_in_the_formulas, weights, backward_pass(x, y, hidden=sigmoid, factor=-2 / n))


# E3, the formulas of 001 §3, for square weights (the product without the transpose needs them)


def square_network(seed=0):
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(shape) for shape in ((4, 4), (4,), (4, 4), (4,))]
    return weights, rng.standard_normal(4), rng.random(4)


def both_sigmoid(x, W1, b1, W2, b2):
    # z^{(l)} = W^{(l)} \cdot x^{(l-1)} + b^{(l)},  a^{(l)} = \sigma(z^{(l)})
    z1 = W1 @ x + b1
    z2 = W2 @ sigmoid(z1) + b2
    return z1, z2


def formula_loss(x, y):
    def J(W1, b1, W2, b2):
        # J = \frac{1}{m} \sum_{i=1}^{m} (y_i - \hat{y}_i)^2
        return np.mean((y - sigmoid(both_sigmoid(x, W1, b1, W2, b2)[1])) ** 2)

    return J


def formula_gradient(x, y, factor=1.0, transposed=False):
    """Backpropagation of 001 §3; a `factor` of 1 and no transpose are what it prints."""

    def gradient(W1, b1, W2, b2):
        z1, z2 = both_sigmoid(x, W1, b1, W2, b2)
        # \delta^{(L)} = \sigma'(z^{(L)}) \cdot (y - \hat{y})
        delta2 = factor * slope(z2) * (y - sigmoid(z2))
        # \delta^{(l)} = (W^{(l+1)} \cdot \delta^{(l+1)}) \cdot \sigma'(z^{(l)})
        delta1 = ((W2.T if transposed else W2) @ delta2) * slope(z1)
        return np.outer(delta1, x), delta1, np.outer(delta2, sigmoid(z1)), delta2

    return gradient


def test_e3_sign_and_factor():
    weights, x, y = square_network()
    wrong = wrong_rows(formula_loss(x, y), weights, formula_gradient(x, y))
    assert set(wrong) == {"W1", "b1", "W2", "b2"}
    for name in ("W2", "b2"):  # -2/n is missing, with n = 4 values
        assert wrong[name].analytic / wrong[name].numeric == pytest.approx(-4 / 2, rel=1e-8)


def test_e3_transpose():
    weights, x, y = square_network()
    wrong = wrong_rows(formula_loss(x, y), weights, formula_gradient(x, y, factor=-2 / 4))
    assert set(wrong) == {"W1", "b1"}
    z1, z2 = both_sigmoid(x, *weights)
    delta2 = -2 / 4 * slope(z2) * (y - sigmoid(z2))
    (unit,) = wrong["b1"].index
    assert wrong["b1"].analytic == pytest.approx((weights[2] @ delta2)[unit] * slope(z1)[unit], rel=1e-8)
    assert wrong["b1"].numeric == pytest.approx((weights[2].T @ delta2)[unit] * slope(z1)[unit], rel=1e-8)


def test_e3_corrected():
    weights, x, y = square_network()
    accept(formula_loss(x, y), weights, formula_gradient(x, y, factor=-2 / 4, transposed=True))


# Classic homework


def softmax_loss(W, X, y, reg):
    scores = X @ W
    scores = scores - scores.max(1, keepdims=True)
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    return -log_p[np.arange(len(y)), y].mean() + reg * np.sum(W * W)


def softmax_loss_gradient(W, X, y, reg, divide=True, regularise=True):
    p = np.exp(X @ W)
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    if divide:
        p /= len(y)
    return X.T @ p + (2 * reg * W if regularise else 0), p @ W.T


def softmax_homework():
    rng = np.random.default_rng(1)
    X, W, y = rng.standard_normal((6, 4)), rng.standard_normal((4, 3)), rng.integers(0, 3, 6)
    return (lambda W, X: softmax_loss(W, X, y, 0.1)), [W, X], y


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, set()), ({"divide": False}, {"W", "X"}), ({"regularise": False}, {"W"})],
    ids=["right", "not divided by n", "no regularisation"],
)
def test_softmax_classifier(settings, expected):
    loss, inputs, y = softmax_homework()

    def gradient(W, X):
        return softmax_loss_gradient(W, X, y, 0.1, **settings)

    if expected:
        assert set(wrong_rows(loss, inputs, gradient)) == expected
    else:
        accept(loss, inputs, gradient)


def test_labels_may_be_an_input_of_integers():
    rng = np.random.default_rng(2)
    X, W, y = rng.standard_normal((6, 4)), rng.standard_normal((4, 3)), rng.integers(0, 3, 6)

    def loss(W, X, y):
        return softmax_loss(W, X, y, 0.0)

    def gradient(W, X, y):
        return *softmax_loss_gradient(W, X, y, 0.0), None

    accept(loss, [W, X, y], gradient)


def affine(x, w, b):
    return x @ w + b


def affine_backward(x, w, b, g):
    return g @ w.T, x.T @ g, g.sum(0)


def batch_norm(x, gamma, beta):
    return gamma * (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) + beta


def batch_norm_backward(x, gamma, beta, g):
    spread = np.sqrt(x.var(0) + 1e-5)
    normal = (x - x.mean(0)) / spread
    inner = g - g.mean(0) - normal * (g * normal).mean(0)
    return gamma / spread * inner, (g * normal).sum(0), g.sum(0)


def max_pool(x):
    """The greatest of each two neighbours."""
    return x.reshape(len(x), -1, 2).max(2)


def max_pool_backward(x, g):
    pairs = x.reshape(len(x), -1, 2)
    return ((pairs == pairs.max(2, keepdims=True)) * g[..., None]).reshape(x.shape)


def recurrent(x, h, wx, wh):
    for step in range(x.shape[1]):
        h = np.tanh(x[:, step] @ wx + h @ wh)
    return h


def recurrent_backward(x, h, wx, wh, g):
    states = [h]
    for step in range(x.shape[1]):
        states.append(np.tanh(x[:, step] @ wx + states[-1] @ wh))
    dx, dwx, dwh = np.zeros_like(x), np.zeros_like(wx), np.zeros_like(wh)
    for step in reversed(range(x.shape[1])):
        inner = g * (1 - states[step + 1] ** 2)
        dx[:, step], g = inner @ wx.T, inner @ wh.T
        dwx += x[:, step].T @ inner
        dwh += states[step].T @ inner
    return dx, g, dwx, dwh


LAYERS = [
    (affine, affine_backward, [(5, 3), (3, 4), (4,)]),
    (batch_norm, batch_norm_backward, [(6, 3), (3,), (3,)]),
    (max_pool, max_pool_backward, [(3, 8)]),
    (recurrent, recurrent_backward, [(2, 4, 3), (2, 5), (3, 5), (5, 5)]),
]


@pytest.mark.parametrize(("layer", "backward", "shapes"), LAYERS, ids=lambda f: getattr(f, "__name__", ""))
def test_layers_with_the_gradient_from_above(layer, backward, shapes):
    rng = np.random.default_rng(3)
    inputs = [rng.standard_normal(shape) for shape in shapes]
    accept(layer, inputs, backward)
    for i in range(len(inputs)):

        def doubled(*given, i=i):
            found = backward(*given)
            found = found if isinstance(found, tuple) else (found,)
            return tuple(2 * d if j == i else d for j, d in enumerate(found))

        (row,) = wrong_rows(layer, inputs, doubled).values()
        assert row.input == layer.__code__.co_varnames[i]
        assert row.analytic / row.numeric == pytest.approx(2, rel=1e-8)


def test_two_results():
    def fn(x):
        return np.sin(x), (x**2).sum()

    def gradient(x, g):
        return g[0] * np.cos(x) + g[1] * 2 * x

    accept(fn, [np.linspace(-1, 2, 6)], gradient)
    assert set(wrong_rows(fn, [np.linspace(-1, 2, 6)], lambda x, g: g[0] * np.cos(x))) == {"x"}
