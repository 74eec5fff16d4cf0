"""Where among the modules whose forward is running something happens: the engine's scopes read as paths."""

from nnscratch.hints import of_size

#: The errors by which layers and operations refuse what they are given.
MISFITS = TypeError, ValueError, IndexError


def outermost(scope):
    """The outermost module of a scope (see `nnscratch.autograd.recording.State`), or None where it is gone."""
    while scope[0] is not None:
        scope = scope[0]
    return scope[1]()


def name_layer(error, scope):
    """Put before an error's sentence the layer that it comes from: the innermost, once, and nothing for a layer by itself.

    Examples
    --------
    >>> import nnscratch as ns
    >>> try:
    ...     ns.nn.Sequential(ns.nn.Linear(2, 3), ns.nn.Linear(4, 1))(ns.tensor([[1.0, 2.0]]))
    ... except ValueError as error:
    ...     print(str(error)[:60])
    Sequential 1 (Linear): linear: x has 3 features, weight expe
    """
    of_size(error)
    if type(error) not in MISFITS or not error.args or hasattr(error, "layer"):
        return
    module, root = scope[1](), outermost(scope)
    path = next((path for path, m in root.named_modules() if m is module), "")
    error.layer = " ".join(filter(None, (type(root).__name__, path, f"({type(module).__name__})")))
    if module is not root:
        error.args = (f"{error.layer}: {error.args[0]}", *error.args[1:])
