"""Reading a network that others trained, from a folder as Hugging Face's transformers writes it: settings, weights, vocabulary.

Weights are read from safetensors alone. What other files hold, such as pytorch_model.bin, are pickles, which can run any code.
"""

import inspect
import os
from functools import partial
from typing import NamedTuple

import numpy as np

from nnscratch import arguments, backend, markup
from nnscratch import functional as F
from nnscratch.autograd import no_grad
from nnscratch.data.text.pieces import PieceTokenizer
from nnscratch.files import as_path, read_json, read_tensors
from nnscratch.nn import init as initialisers
from nnscratch.nn.module import Module

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
#: What transformers calls activation functions.
ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}
#: How many of the things that do not fit an error names.
NAMED = 6


class Report(NamedTuple):
    """What became of the tensors of a folder; prints as a table.

    Attributes
    ----------
    used : dict of str to tuple of str
        For each parameter the names in the file of what it was made of.
    missing : tuple of str
        Parts of the network that the file lacks, and that the network does without.
    left_over : dict of str to str
        The names in the file of what was not used, and why.

    Examples
    --------
    >>> Report({"words.weight": ("wte.weight",)}, (), {"h.0.attn.bias": "no weight"})
    parameter      from
    words.weight   wte.weight
    -              h.0.attn.bias: no weight
    1 used, 0 missing, 1 left over
    """

    used: dict
    missing: tuple
    left_over: dict

    def rows(self):
        """The table's rows: pairs of str."""
        rows = [(name, " + ".join(names)) for name, names in self.used.items()]
        rows += [(name, "is missing: left out") for name in self.missing]
        return rows + [("-", f"{name}: {why}") for name, why in self.left_over.items()]

    def _totals(self):
        used = sum(map(len, self.used.values()))
        return f"{used} used, {len(self.missing)} missing, {len(self.left_over)} left over"

    def __repr__(self):
        rows = [("parameter", "from"), *self.rows()]
        width = max(len(name) for name, _ in rows)
        return "\n".join([*(f"{name:{width}}   {source}" for name, source in rows), self._totals()])

    def _repr_html_(self):
        return f"<div>{markup.table(('parameter', 'from'), self.rows(), left=2)}<small>{self._totals()}</small></div>"


class Pretrained(Module):
    """What networks have in common that are read from such a folder.

    Attributes
    ----------
    config : dict
        The network's settings as config.json has them, for `from_config`; empty where it was made otherwise.
    tokenizer : nnscratch.data.text.PieceTokenizer or None
        By the folder's vocabulary.
    report : Report or None
        What became of the folder's tensors.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.models.Bert.from_pretrained("no-such-folder")
    Traceback (most recent call last):
    FileNotFoundError: Bert: there is no file no-such-folder/config.json; check the path
    """

    #: ``model_type`` in config.json.
    _kind = ""
    #: What the names of the tensors may begin with.
    _prefix = ""
    #: Settings of config.json, and the value that is the only one known here.
    _fixed: dict = {}  # noqa: RUF012
    #: Names in a file for what has another name, and that.
    _aliases: dict = {}  # noqa: RUF012
    #: Parts of the network that a file may lack; it has None instead.
    _optional: tuple = ()
    #: How names of tensors begin that belong to heads which the network does without, and end that are no weights.
    _heads: tuple = ()
    _constants: tuple = ()
    #: How names of matrices end that are (in, out) in the file.
    _turned: tuple = ()

    config: dict = {}  # noqa: RUF012
    tokenizer = report = None

    def names(self):
        """For each parameter the names in a file of what it is made of, put together along the first axis."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config, **settings):
        """The network with new weights that a config.json describes.

        Parameters
        ----------
        config : dict
            What is not in it is as the class has it by default; what says nothing about the network is left out.
        **settings
            The class's own, which count before those of `config`.

        Raises
        ------
        TypeError, ValueError
            If it is of another network, or of a kind of it that there is not here.

        Examples
        --------
        >>> import nnscratch as ns
        >>> config = {"model_type": "gpt2", "n_layer": 1, "n_embd": 4, "n_head": 2, "vocab_size": 10, "n_positions": 8}
        >>> sum(p.size for p in ns.nn.models.Gpt2.from_config(config).parameters())
        324
        """
        name = cls.__name__
        if not isinstance(config, dict):
            raise TypeError(
                f"{name}: config is a {type(config).__name__}, expected a dict; pass what config.json holds"
            )
        if config.get("model_type", cls._kind) != cls._kind:
            raise ValueError(
                f"{name}: the config is of a {config['model_type']!r}, expected a {cls._kind!r}; take its own class"
            )
        for key, value in cls._fixed.items():
            if config.get(key) not in (value, None):
                raise ValueError(
                    f"{name}: the config has {key} {config[key]!r}, there is {value!r} alone here; take another checkpoint"
                )
        own = [key for key in inspect.signature(cls.__init__).parameters if key in config]
        model = cls(**{key: config[key] for key in own} | settings)
        model.config = {"model_type": cls._kind, **{key: config[key] for key in own}}
        return model

    @classmethod
    def from_pretrained(cls, folder, dtype="float32", **settings):
        """The network of a folder, in evaluation mode, with its weights and its vocabulary.

        Parameters
        ----------
        folder : str or os.PathLike
            With config.json; model.safetensors, or several such with their index; and tokenizer.json, vocab.txt, or vocab.json and
            merges.txt, if there is to be a `tokenizer`.
        dtype : str or dtype
            Of the weights, whatever that of the file.
        **settings
            The class's own, which count before those of config.json.

        Raises
        ------
        OSError
            If a file is missing, or cannot be read.
        TypeError, ValueError
            If settings, weights and vocabulary do not fit each other; the message lists what does not.
        """
        name, folder = cls.__name__, as_path(cls.__name__, folder)
        config = read_json(name, os.path.join(folder, CONFIG))
        model = cls.from_config(config, dtype=arguments.floating(name, dtype), initializer_range=None, **settings)
        model._take(_weights(name, folder), folder)
        model.tokenizer = PieceTokenizer.from_pretrained(folder, missing=None)
        rows = model.config.get("vocab_size")
        if model.tokenizer is not None and rows is not None and model.tokenizer.size > rows:
            raise ValueError(
                f"{name}: the vocabulary in {folder} has numbers up to {model.tokenizer.size - 1}, the network's embedding {rows} "
                f"rows; take the vocabulary that it was trained with"
            )
        return model.eval()

    def _take(self, tensors, folder):
        """Take over the weights of a file, or tell all that do not fit."""
        found, wrong = self._own_names(tensors)
        wanted = self.names()
        missing = [part for part in self._optional if not any(n in found for n in _of(wanted, part))]
        for part in missing:
            setattr(self, part, None)
        used, left_over = {}, dict(found)
        for parameter, names in wanted.items():
            if not parameter.startswith(tuple(f"{part}." for part in missing)):
                used[parameter] = names
                for name in names:
                    left_over.pop(name, None)
        left_over = {found[name][0]: self._why(name) for name in left_over}
        wrong += [f"{name} is unexpected" for name, why in left_over.items() if not why]
        parameters = dict(self.named_parameters())
        values = {}
        for parameter, names in used.items():
            absent = [f"{name} is missing" for name in names if name not in found]
            wrong += absent
            if not absent:
                wrong += self._joined(values, parameter, parameters[parameter], [found[name] for name in names])
        if wrong:
            more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
            raise ValueError(
                f"{type(self).__name__}: the weights in {folder} do not fit its {CONFIG}: {', '.join(wrong[:NAMED])}{more}; take both "
                f"from one checkpoint"
            )
        with no_grad():
            for parameter, value in values.items():
                parameters[parameter][...] = backend.asarray(value, device=parameters[parameter].device)
        used = {parameter: tuple(found[name][0] for name in names) for parameter, names in used.items()}
        self.report = Report(used, tuple(missing), left_over)

    def _own_names(self, tensors):
        """By the names without what they may begin with, and as they are today, pairs of the file's name and the array; what is wrong."""
        found: dict = {}
        wrong = []
        for given, value in tensors.items():
            name = given.removeprefix(self._prefix)
            stem, _, last = name.rpartition(".")
            if stem.endswith("LayerNorm"):
                name = ".".join([stem, {"gamma": "weight", "beta": "bias"}.get(last, last)])
            if name in found:
                wrong.append(f"{given} and {found[name][0]} are one tensor")
            found[name] = given, value
        parameters = {name for names in self.names().values() for name in names}
        for alias, name in self._aliases.items():
            if alias not in found or name not in parameters:
                continue
            if name not in found:
                found[name] = found.pop(alias)
            elif np.array_equal(found[alias][1], found[name][1]):
                del found[alias]
            elif self.tied(alias):
                wrong.append(f"{found[alias][0]} and {found[name][0]} are one parameter and differ")
        return found, wrong

    def tied(self, alias):
        """Whether the network has what an alias names; otherwise it is a part of a head that is left out."""
        return True

    def _why(self, name):
        """Why a tensor is not used; "" where it should be."""
        if name.endswith(self._constants):
            return "no weight"
        return "of a head that this network does without" if name.startswith(self._heads) else ""

    def _joined(self, values, parameter, tensor, parts):
        """Put into `values` a parameter's array, made of parts; returns what is wrong with them."""
        rows = tensor.shape[0] // len(parts)
        wrong = []
        arrays = []
        for given, value in parts:
            turned = given.endswith(self._turned) if self._turned else False
            shape = (rows, *tensor.shape[1:])[:: -1 if turned else 1]
            if value.shape != shape or value.dtype.kind != "f":
                wrong.append(f"{given} is {value.shape} {value.dtype}, expected {shape} of floating-point numbers")
            arrays.append(value.T if turned else value)
        if not wrong:
            values[parameter] = np.concatenate(arrays).astype(tensor.dtype)
        return wrong

    def _draw(self, deviation):
        """Draw all matrices from a normal distribution, as BERT and GPT-2 begin; None leaves them."""
        if deviation is None:
            return
        normal = initialisers.normal(arguments.number(type(self).__name__, "initializer_range", deviation, 0))
        with no_grad():
            for p in self.parameters():
                if p.ndim == 2:
                    p[...] = backend.asarray(normal(p.shape, dtype=p.dtype), device=p.device)


def from_config(config, **settings):
    """The network with new weights that a config.json describes, of the class that its ``model_type`` names.

    Parameters
    ----------
    config : dict
    **settings
        The class's own, which count before those of `config`.

    Returns
    -------
    Pretrained

    Raises
    ------
    TypeError, ValueError
        If there is no such class here, or as `Pretrained.from_config`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.models.from_config({"model_type": "llama"})
    Traceback (most recent call last):
    ValueError: from_config: the config is of a 'llama', expected one of 'albert', 'bert', 'gpt2'; take another checkpoint
    """
    return _of_kind("from_config", config).from_config(config, **settings)


def from_pretrained(folder, dtype="float32", **settings):
    """The network of a folder, of the class that its config.json names; see `Pretrained.from_pretrained`.

    Parameters
    ----------
    folder : str or os.PathLike
    dtype : str or dtype
        Of the weights.
    **settings
        The class's own, which count before those of config.json.

    Returns
    -------
    Pretrained
        In evaluation mode.

    Raises
    ------
    OSError, TypeError, ValueError
        As there; and if there is no such class here.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.models.from_pretrained("no-such-folder")
    Traceback (most recent call last):
    FileNotFoundError: from_pretrained: there is no file no-such-folder/config.json; check the path
    """
    config = read_json("from_pretrained", os.path.join(as_path("from_pretrained", folder), CONFIG))
    return _of_kind("from_pretrained", config).from_pretrained(folder, dtype, **settings)


def _of_kind(operation, config):
    """The class that a config is of."""
    kinds: dict = {}
    classes = [Pretrained]
    for cls in classes:
        classes += cls.__subclasses__()
        if cls._kind:
            kinds.setdefault(cls._kind, cls)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in kinds:
        known = ", ".join(map(repr, sorted(kinds)))
        raise ValueError(f"{operation}: the config is of a {kind!r}, expected one of {known}; take another checkpoint")
    return kinds[kind]


def activation(network, name):
    """The function that config.json names."""
    if name not in ACTIVATIONS:
        raise ValueError(
            f"{network}: the activation is {name!r}, expected one of {', '.join(ACTIVATIONS)}; take another checkpoint"
        )
    return ACTIVATIONS[name]


def _of(wanted, part):
    """The names in a file of a part's parameters."""
    return [name for parameter, names in wanted.items() if parameter.startswith(f"{part}.") for name in names]


def _weights(name, folder):
    """The arrays in a folder, of one file or of several."""
    path, index = os.path.join(folder, WEIGHTS), os.path.join(folder, INDEX)
    if os.path.exists(path):
        return read_tensors(name, path)[0]
    if not os.path.exists(index):
        pickles = [f for f in sorted(os.listdir(folder)) if f.endswith((".bin", ".pt", ".pth", ".ckpt"))]
        also = f", but for {pickles[0]}, a pickle, which is never read as it can run any code" if pickles else ""
        raise FileNotFoundError(
            f"{name}: there are no weights {WEIGHTS} in {folder}{also}; write them with transformers: model.save_pretrained(folder)"
        )
    files = read_json(name, index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(f, str) and f == os.path.basename(f) for f in files.values()):
        raise ValueError(f"{name}: {index} has no weight_map from tensors to files beside it; fetch it again")
    tensors: dict = {}
    for file in sorted(set(files.values())):
        tensors |= read_tensors(name, os.path.join(folder, file))[0]
    return tensors
