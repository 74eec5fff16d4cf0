"""The table of what is written into a file: an operation's name, or a layer's class, stands for a function that writes its nodes."""

#: By the name of the operation, or of the layer's class, functions of a `nnscratch.onnx.writing.Written`.
EXPORTS: dict = {}


def exports(*names):
    """Decorator: the function that writes the nodes of the operations or layers named."""

    def register(function):
        for name in names:
            EXPORTS[name] = function
        return function

    return register
