"""JAX: a whole step is one compiled function that is given its old buffers to write into."""

from itertools import cycle


def start(threads):
    """Import it; its threads are limited by the environment and by the process's cores."""
    import jax

    jax.devices()  # starts the client
    return jax.__version__


def wait(result):
    """Steps return before they are done."""
    import jax

    jax.block_until_ready(result)


def array(value):
    """An array as a NumPy array."""
    import numpy as np

    return np.asarray(value)


def sgd(lr):
    """Gradient descent: the state to begin with, and the function (parameters, gradients, state) to new ones."""
    import jax

    def update(parameters, gradients, state):
        return jax.tree.map(lambda p, g: p - lr * g, parameters, gradients), state

    return lambda parameters: (), update


def adam(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam with bias correction, in the same form as `sgd`."""
    import jax
    import jax.numpy as jnp

    def begin(parameters):
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        return jnp.zeros((), jnp.int32), zeros, jax.tree.map(jnp.zeros_like, parameters)

    def update(parameters, gradients, state):
        t, m, v = state
        t = t + 1
        m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, gradients)
        v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, gradients)
        first, second = 1 - beta1**t, 1 - beta2**t
        moved = jax.tree.map(lambda p, m, v: p - lr * (m / first) / (jnp.sqrt(v / second) + eps), parameters, m, v)
        return moved, (t, m, v)

    return begin, update


def cross_entropy(logits, labels):
    """The mean over the rows of -log softmax at the label."""
    import jax
    import jax.numpy as jnp

    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()


def train(model, weights, loss, optimizer, batches):
    """A function that does one training step, on each of `batches` (arrays) in turn.

    `model` is a function of parameters (a list) and inputs; the step is compiled whole and its old parameters donated.
    """
    import jax
    import jax.numpy as jnp

    begin, update = optimizer

    def whole(parameters, state, x, y):
        value, gradients = jax.value_and_grad(lambda p: loss(model(p, x), y))(parameters)
        parameters, state = update(parameters, gradients, state)
        return parameters, state, value

    compiled = jax.jit(whole, donate_argnums=(0, 1))
    parameters = [jnp.array(w) for w in weights]
    state = begin(parameters)
    queue = cycle([tuple(jnp.array(a) for a in batch) for batch in batches])

    def step():
        nonlocal parameters, state
        parameters, state, value = compiled(parameters, state, *next(queue))
        return (value,)

    return step
