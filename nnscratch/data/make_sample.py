"""Draw the sample that ships with nnscratch from the full MNIST.

``python -m nnscratch.data.make_sample FOLDER`` reads the four full files in FOLDER and writes
mnist_sample.npz into the current folder: a stratified draw with seed 0, in random order, with its places.
"""

import sys
from pathlib import Path

import numpy as np

from nnscratch.data.digits import FILES, find_file, load_file
from nnscratch.data.splitting import split

TRAIN, TEST = 10_000, 2_000


def make_sample(folder):
    """Return the sample's arrays: images uint8 (N, 28, 28), labels uint8 and places int32 (N,), of both sets.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where the four full IDX files are, plain or gzipped.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is damaged or is not MNIST's.
    """
    arrays = {}
    for name in FILES:
        path = find_file(Path(folder), name)
        if path is None:
            raise FileNotFoundError(f"make_sample: {folder} lacks {name} (plain or .gz); put it there")
        arrays[name] = load_file(path, name)
    sample = {}
    for part, files, count in (("train", "train", TRAIN), ("test", "t10k", TEST)):
        images, labels = arrays[f"{files}-images-idx3-ubyte"], arrays[f"{files}-labels-idx1-ubyte"]
        _, places = split(np.arange(len(labels), dtype=np.int32), test=count / len(labels), stratify=labels, seed=0)
        sample |= {f"x_{part}": images[places], f"y_{part}": labels[places], f"places_{part}": places}
    return sample


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m nnscratch.data.make_sample FOLDER_WITH_THE_FOUR_IDX_FILES")
    try:
        np.savez_compressed("mnist_sample.npz", **make_sample(sys.argv[1]))
    except (OSError, ValueError) as error:
        sys.exit(str(error))
