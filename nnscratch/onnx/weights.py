"""Which constants of a graph are weights, to be trained, and which are running statistics."""

from nnscratch.nn.module import Buffer, Parameter

#: At which places operators take what is trained.
PLACES = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (0, 1, 2), "MatMul": (0, 1), "Gather": (0,), "Einsum": (0, 1),
    "LSTM": (1, 2, 3, 7), "GRU": (1, 2, 3), "RNN": (1, 2, 3), "BatchNormalization": (1, 2), "InstanceNormalization": (1, 2),
    "GroupNormalization": (1, 2), "LayerNormalization": (1, 2), "RMSNormalization": (1,), "PRelu": (1,),
}  # fmt: skip
#: Where constants of several elements are trained: what shifts and scales.
ARITHMETIC = ("Add", "Sub", "Mul", "Div")
#: What changes nothing but a weight's shape or dtype, or takes a part of it.
THROUGH = ("Transpose", "Identity", "Cast", "CastLike", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split")


def take_weights(graph):
    """Make parameters and buffers of constants of a graph, and of those within it.

    What the nodes Constant make is no weight, unless a file has all its numbers there.

    Parameters
    ----------
    graph : nnscratch.onnx.graph.Graph
        Its constants are replaced.

    Returns
    -------
    dict of str to Parameter or Buffer
        By their names in the file.
    """
    literal = not any(set(g.constants) - g.literals for g in _every(graph))
    kinds: dict = {}
    _find(graph, (), kinds)
    found: dict = {}
    for (owner, name), kind in kinds.items():
        value = owner.constants[name]
        if value.dtype.kind != "f" or (name in owner.literals and not literal):
            continue
        free, number = name, 2
        while free in found:  # graphs within others may use a name again
            free, number = f"{name}.{number}", number + 1
        owner.constants[name] = found[free] = kind(value.data)
    return found


def _every(graph):
    yield graph
    for step in graph.steps:
        for inner in step.graphs:
            yield from _every(inner)


def _find(graph, around, kinds):
    """Note in `kinds` what is a weight of a graph and those within: by the graph that has it, and its name."""
    chain = (graph, *around)
    for step in graph.steps:
        for inner in step.graphs:
            _find(inner, chain, kinds)
    origin: dict = {}  # of what is a constant in another shape, that constant
    for step in graph.steps:
        if step.kind in THROUGH and step.inputs:
            source = origin.get(step.inputs[0], step.inputs[0])
            if _owner(chain, source) is not None:
                origin.update(dict.fromkeys(step.outputs, source))
    for step in graph.steps:
        names = [step.inputs[k] for k in PLACES.get(step.kind, ()) if k < len(step.inputs)]
        least = 1
        if step.kind in ARITHMETIC:
            names, least = step.inputs, 2
        for name in names:
            _note(chain, origin.get(name, name), Parameter, kinds, least)
        if step.kind == "BatchNormalization":
            for name in step.inputs[3:5]:
                _note(chain, name, Buffer, kinds)


def _note(chain, name, kind, kinds, least=1):
    owner = _owner(chain, name)
    if owner is not None and owner.constants[name].size >= least:
        kinds.setdefault((owner, name), kind)


def _owner(chain, name):
    """The graph of a chain, from within outwards, of which `name` is a constant; None where it is none."""
    for graph in chain:
        if name in graph.constants:
            return graph
        if name in graph.inputs:
            return None
    return None
