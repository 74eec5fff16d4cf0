"""Hooks of modules: what they are told, what they change, and that they end."""

import copy

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import nn


def layer(weight=((1.0, 2.0), (3.0, 4.0))):
    made = nn.Linear(2, 2, bias=False, dtype="float64")
    made.load_state_dict({"weight": np.array(weight)})
    return made


def leaf(*values):
    return ns.tensor(np.array([values]), requires_grad=True)


def test_forward_hooks_see_and_change_what_goes_through():
    net = nn.Sequential(layer(), nn.ReLU())
    seen = []
    before = net[0].register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    after = net[0].register_forward_hook(
        lambda module, inputs, result: seen.append((module, inputs[0].tolist(), result.tolist()))
    )
    changing = net[1].register_forward_hook(lambda module, inputs, result: result + 1)
    assert net(leaf(1.0, -1.0)).tolist() == [[1.0, 1.0]]
    assert seen == [(net[0], [[2.0, -2.0]], [[-2.0, -2.0]])]
    for handle in (before, after, changing):
        handle.remove()
    assert net(leaf(1.0, 0.0)).tolist() == [[1.0, 3.0]]
    assert len(seen) == 1


def test_hooks_are_called_in_their_order_and_one_registered_twice_is_removed_once():
    relu, said = nn.ReLU(), []

    def hook(module, inputs, result):
        said.append(result.tolist())
        return result + 1

    first, _ = relu.register_forward_hook(hook), relu.register_forward_hook(hook)
    assert relu(leaf(1.0)).tolist() == [[3.0]]
    assert said == [[[1.0]], [[2.0]]]
    first.remove()
    first.remove()
    assert relu(leaf(1.0)).tolist() == [[2.0]]


def test_a_backward_hook_is_told_the_gradients_and_changes_nothing_of_them():
    net, x = layer(), leaf(1.0, 2.0)
    expected = ns.grad((net(x) ** 2).sum(), [x, net.weight])
    told = []
    net.register_full_backward_hook(
        lambda module, inputs, results: told.append((module, inputs[0].tolist(), results[0].tolist()))
    )
    (net(x) ** 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), expected[0].numpy())
    np.testing.assert_array_equal(net.weight.grad.numpy(), expected[1].numpy())
    assert told == [(net, expected[0].tolist(), (2 * net(x)).tolist())]


def test_a_backward_hook_may_change_the_gradient_also_to_the_second_order():
    square = nn.ReLU()
    square.register_full_backward_hook(lambda module, inputs, results: (inputs[0] * 3,))
    x = leaf(2.0)
    slope = ns.grad((square(x) ** 3).sum(), x, create_graph=True)
    assert slope.item() == 36.0
    assert ns.grad(slope.sum(), x).item() == 3 * 3 * 12.0  # the hook is asked again on the way back


def test_backward_hooks_of_several_inputs_results_and_passes():
    class Both(nn.Module):
        def forward(self, a, b, scale):
            return a * scale, b * scale, 7

    both, told = Both(), []
    both.register_full_backward_hook(
        lambda module, inputs, results: told.append([t and t.tolist() for t in (*inputs, *results)])
    )
    a, b = leaf(1.0), leaf(2.0)
    y, z, seven = both(a, b, 2.0)
    assert seven == 7
    loss = (y + 3 * z).sum()
    loss.backward(create_graph=True)
    loss.backward()
    assert told == [[[[2.0]], [[6.0]], None, [[1.0]], [[3.0]], None]] * 2
    both.register_full_backward_hook(lambda module, inputs, results: inputs)
    with pytest.raises(ValueError, match="Both: a backward hook returned tuple for 3 inputs"):
        sum(y.sum() for y in both(a, b, 2.0)[:2]).backward()


def test_a_module_whose_inputs_need_no_gradient_is_told_of_its_results():
    net, told = layer(), []
    net.register_full_backward_hook(lambda module, inputs, results: told.append((inputs, results[0].tolist())))
    net(np.ones((1, 2))).sum().backward()
    assert told == [((None,), [[1.0, 1.0]])]
    with ns.no_grad():
        assert net(leaf(1.0, 1.0))._node is None


def test_mistakes_with_hooks():
    with pytest.raises(TypeError, match="Module: the hook is 3, expected a function; pass one"):
        nn.ReLU().register_forward_hook(3)

    class Named(nn.Module):
        def forward(self, x):
            return {"y": x}

    named = Named()
    named.register_full_backward_hook(print)
    with pytest.raises(
        TypeError, match="Named: a backward hook is for modules that return a Tensor .* returned a dict"
    ):
        named(leaf(1.0))


def test_a_copy_has_the_hooks_and_a_state_has_not():
    net = layer()
    net.register_forward_hook(lambda module, inputs, result: result * 0)
    assert copy.deepcopy(net)(leaf(1.0, 1.0)).tolist() == [[0.0, 0.0]]
    assert list(net.state_dict()) == ["weight"]


def test_apply_goes_from_the_innermost_to_the_whole():
    net, seen = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU())), []
    assert net.apply(seen.append) is net
    assert seen == [net[0], net[1][0], net[1], net]


def test_zero_grad_leaves_none_or_zeros():
    net = layer()
    net(leaf(1.0, 1.0)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.weight.grad.tolist() == [[0.0, 0.0]] * 2
    optimizer = ns.optim.SGD(net.parameters(), lr=0.1)
    optimizer.zero_grad(set_to_none=False)
    assert net.weight.grad is not None
    optimizer.zero_grad()
    assert net.weight.grad is None
    with pytest.raises(TypeError, match="zero_grad: set_to_none is 'no'"):
        net.zero_grad("no")
