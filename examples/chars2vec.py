"""Vectors of words from their letters, so that misspelt words are near the right ones: the trained network chars2vec in nn.LSTM.

    pip install h5py && pip install --no-deps chars2vec==0.1.7      # Apache 2.0; its file of weights is used, none of its code
    python examples/chars2vec.py hamlet hamlett hmlet ophelia

`from_keras` turns the weights of Keras's LSTM layers into those of an `nn.LSTM`. It turns them round, (inputs, 4 units) to
(4 hidden, inputs), and leaves the order of the gates: Keras's i, f, c, o is i, f, g, o. Keras has one bias, which becomes bias_ih;
bias_hh is 0. A file of weights does not say by which formula they were trained: this one is of Keras 2.2.0, whose gates were
min(max(0.2 z + 0.5, 0), 1) by default. Today's Keras reads it as a layer with sigmoids, and so does this example.
"""

import sys
from importlib import metadata

import numpy as np

import nnscratch as ns
from nnscratch import nn

SIGNS = "!\"#$%&'()*+,-./0123456789:;<=>?@_abcdefghijklmnopqrstuvwxyz"


def from_keras(layers):
    """The state_dict of an `nn.LSTM` from Keras's weights.

    Parameters
    ----------
    layers : list of dict
        Of each layer ``kernel`` (inputs, 4 units), ``recurrent_kernel`` (units, 4 units) and ``bias`` (4 units,).
    """
    state = {}
    for k, layer in enumerate(layers):
        bias = np.asarray(layer["bias"])
        state[f"weight_ih_l{k}"] = np.transpose(layer["kernel"])
        state[f"weight_hh_l{k}"] = np.transpose(layer["recurrent_kernel"])
        state |= {f"bias_ih_l{k}": bias, f"bias_hh_l{k}": np.zeros_like(bias)}
    return state


def read(path):
    """The weights in a file as Keras 2 wrote it: a list of dicts, one for each layer that has any."""
    import h5py

    with h5py.File(path) as file:
        layers = [file[name.decode()] for name in file.attrs["layer_names"]]
        paths = [[name.decode() for name in layer.attrs["weight_names"]] for layer in layers]
        return [
            {name.rpartition("/")[2].removesuffix(":0"): layer[name][:] for name in names}
            for layer, names in zip(layers, paths, strict=True)
            if names
        ]


def pretrained(size=50):
    """The network with the package's weights, for vectors of 50, 100, 150, 200 or 300 numbers."""
    try:
        package = metadata.distribution("chars2vec")
    except metadata.PackageNotFoundError:
        raise FileNotFoundError(
            "chars2vec: its weights are not installed; run pip install --no-deps chars2vec==0.1.7"
        ) from None
    model = nn.LSTM(len(SIGNS), size, num_layers=2, batch_first=True)
    model.load_state_dict(from_keras(read(package.locate_file(f"chars2vec/trained_models/eng_{size}/weights.h5"))))
    return model.eval()


def vectors(model, words):
    """(words, size). A sign that is not among `SIGNS` is a row of zeros; padding changes nothing, as the lengths are known."""
    x = np.zeros((len(words), max(map(len, words)), len(SIGNS)), "float32")
    for i, word in enumerate(words):
        for t, sign in enumerate(word.lower()):
            x[i, t] = np.eye(len(SIGNS))[SIGNS.index(sign)] if sign in SIGNS else 0.0
    with ns.no_grad():
        _, (h_n, _) = model(ns.tensor(x), lengths=[len(word) for word in words])
    return h_n[-1].numpy()


if __name__ == "__main__":
    words = sys.argv[1:] or ["hamlet", "hamlett", "hmlet", "ophelia"]
    v = vectors(pretrained(), words)
    for word, distance in zip(words, np.linalg.norm(v - v[0], axis=1), strict=True):
        print(f"{word}: {distance:.2f} from {words[0]}")
