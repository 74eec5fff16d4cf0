"""The kernels of a topic, as tests call them."""

from nnscratch.backend.cpu import find_kernel


class Topic:
    """The functions of ``nnscratch.kernels.NAME``, each from the first of some modules that has it, as a backend takes them."""

    def __init__(self, name, *modules):
        self.name, self.modules = name, modules

    def __getattr__(self, function):
        found = find_kernel(f"{self.name}.{function}", *self.modules)
        if found is None:
            raise AttributeError(function)
        return found


def on_cpu(name):
    """A topic's kernels for NumPy's arrays."""
    return Topic(name, "cpu", "definition")
