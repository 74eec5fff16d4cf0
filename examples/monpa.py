"""The encoder of monpa, an ALBERT trained to part Chinese sentences into words, as a folder that nn.models reads.

    pip install --no-deps monpa==0.3.3 && pip install torch 'nnscratch[text]'      # CC BY-NC-SA 4.0: not for commerce
    python examples/monpa.py FOLDER
    nnscratch train chinese-sentiment --full --encoder FOLDER

Nothing of monpa is part of nnscratch. Its weights are a pickle, which PyTorch reads here once, with `weights_only`, so that it runs no
code of the file. Its vocabulary has one piece in two lines, of which monpa takes the first, and numbers the pieces after it as if the
second were not there. Each sign of a text is a piece; what is not in the vocabulary, and a blank, is the piece [SP].
"""

import json
import sys
from importlib import metadata
from pathlib import Path

import nnscratch as ns
from nnscratch.data.text import PieceTokenizer


def package():
    """The folder of the installed package, which is not imported."""
    try:
        return Path(metadata.distribution("monpa").locate_file("monpa"))
    except metadata.PackageNotFoundError:
        raise FileNotFoundError(
            "monpa: its weights are not installed; run pip install --no-deps monpa==0.3.3"
        ) from None


def pieces(content):
    """The vocabulary in the text of its file: each piece once, in the order of the first time."""
    return list(dict.fromkeys(line.split()[0] for line in content.splitlines() if line.strip()))


def tokenizer(folder):
    """The tokenizer of BERT for the vocab.txt in a folder, changed to take sign by sign, and [SP] for what is unknown."""
    description = PieceTokenizer.from_pretrained(folder).description
    by_sign = {"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": False}
    description |= {"normalizer": None, "pre_tokenizer": by_sign}
    description["model"]["unk_token"] = "[SP]"
    return PieceTokenizer(description)


def convert(source, folder):
    """Write config.json, model.safetensors, vocab.txt and tokenizer.json into a folder, from those of the package."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "albert_config" / "albert_config_mo.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "albert", **config}, indent=2))
    weights = torch.load(source / "model" / "monpa_model_8000.pt", weights_only=True, map_location="cpu")
    encoder = {
        name: tensor.numpy() for name, tensor in weights.items() if name.startswith("albert.")
    }  # without its head for words
    ns.save(encoder, folder / "model.safetensors")
    vocabulary = pieces((source / "vocab_monpa.vocab").read_text(encoding="utf-8"))
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    tokenizer(folder).save(folder / "tokenizer.json")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/monpa.py FOLDER")
    convert(package(), Path(sys.argv[1]))
    model = ns.nn.models.from_pretrained(sys.argv[1])
    print(model.report)
