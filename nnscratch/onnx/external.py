"""Values of tensors that stand in another file: one in the model's own folder, and no other."""

import os
import pathlib

from nnscratch.arguments import named
from nnscratch.files import opened


class Beside:
    """Reads the bytes of tensors from files in a model's folder.

    Parameters
    ----------
    path : str
        Of the model.
    """

    def __init__(self, path):
        self._folder = os.path.realpath(os.path.dirname(path) or ".")

    def __call__(self, tensor, size):
        """The bytes, `size` of them, of an ``onnx.TensorProto``.

        Raises
        ------
        ValueError
            Where they would be elsewhere, or are not as many.
        OSError
            Where the file cannot be read.
        """
        name = named(tensor.name or "without a name")
        entries = {entry.key: entry.value for entry in tensor.external_data}
        path = self._path(entries.get("location", ""), name)
        begin, length = (_number(entries.get(key, default), name) for key, default in (("offset", 0), ("length", size)))
        if length != size or begin + length > os.path.getsize(path):
            raise ValueError(
                f"the tensor {name} asks for {length} bytes from {begin} on of {named(entries['location'])}, which has "
                f"{os.path.getsize(path)}, and needs {size}; put the right file beside it"
            )
        with opened("onnx.load", path) as file:
            file.seek(begin)
            return file.read(length)

    def _path(self, location, name):
        parts = pathlib.PureWindowsPath(location).parts
        outside = not parts or pathlib.PureWindowsPath(location).anchor or ".." in parts or "\0" in location
        path = os.path.join(self._folder, *parts) if not outside else self._folder
        if outside or os.path.realpath(path) != path:
            raise ValueError(
                f"the tensor {name} has its values in {named(repr(location))}, which is not in the model's folder; put the file there"
            )
        if not os.path.isfile(path):
            raise ValueError(
                f"the tensor {name} has its values in {named(location)}, which is missing; put it beside the model"
            )
        return path


def _number(text, name):
    """A number of an entry, which is text."""
    if isinstance(text, int) or (text.isascii() and text.isdecimal() and len(text) < 20):
        return int(text)
    raise ValueError(f"the tensor {name} has its values at {named(text)}, which is no place in a file")
