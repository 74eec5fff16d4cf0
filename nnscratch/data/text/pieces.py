"""Texts as numbers of the pieces of words that a trained network knows, by the library tokenizers (the extra ``text``)."""

import json
import os
from typing import NamedTuple

import numpy as np

from nnscratch import arguments
from nnscratch.data.text.sequences import pad_sequences
from nnscratch.files import as_path, read_bytes, read_json, write_bytes

FILE = "tokenizer.json"
#: What a vocabulary in vocab.txt calls padding, what it lacks, the beginning, the end, and what is hidden.
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PADDING = ("[PAD]", "<pad>")


class Encoded(NamedTuple):
    """A batch of texts as a network takes it: ``model(*encoded)``.

    Attributes
    ----------
    input_ids : numpy.ndarray
        (N, L), int64.
    attention_mask : numpy.ndarray
        (N, L), bool: False for padding.
    token_type_ids : numpy.ndarray
        (N, L), int64: 1 for the pieces of the second text of a pair.

    Examples
    --------
    >>> encoded = Encoded(np.array([[2, 7, 3]]), np.array([[True, True, True]]), np.array([[0, 0, 0]]))
    >>> encoded.input_ids.shape
    (1, 3)
    """

    input_ids: np.ndarray
    attention_mask: np.ndarray
    token_type_ids: np.ndarray


class PieceTokenizer:
    """Texts as numbers of pieces, as a network was trained on them.

    Parameters
    ----------
    description : dict
        What a tokenizer.json holds. Whether it cuts and pads texts is not followed: texts are as long as they are asked for.

    Attributes
    ----------
    vocabulary : dict of str to int
        The number of each piece.
    size : int
        One more than the largest number.

    Raises
    ------
    TypeError, ValueError
        If it is none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pieces = [*SPECIAL, "un", "##believ", "##able", "!"]
    ...     write_bytes("example", folder + "/vocab.txt", "\\n".join(pieces).encode())
    ...     tokenizer = PieceTokenizer.from_pretrained(folder)
    >>> tokenizer.size, tokenizer.vocabulary["##able"]
    (9, 7)
    """

    def __init__(self, description):
        try:
            model = description["model"]["vocab"]
            pieces = model if isinstance(model, dict) else {piece: n for n, (piece, _) in enumerate(model)}
            added = {token["content"]: token["id"] for token in description.get("added_tokens") or ()}
            self.vocabulary = {
                piece: arguments.count("PieceTokenizer", f"the number of {piece!r}", n, 0)
                for piece, n in (pieces | added).items()
            }
            self.size = max(self.vocabulary.values()) + 1
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise ValueError(
                f"PieceTokenizer: got no tokenizer.json ({reason}); take the one beside the network's weights"
            ) from None
        self.description = {**description, "truncation": None, "padding": None}
        self.padding = next((self.vocabulary[piece] for piece in PADDING if piece in self.vocabulary), 0)
        self._library = None

    @classmethod
    def from_pretrained(cls, folder, **otherwise):
        """The tokenizer of a folder: by its tokenizer.json; else by the word pieces in vocab.txt; else by vocab.json and merges.txt.

        Parameters
        ----------
        folder : str or os.PathLike
            Of a network, as transformers writes it. A vocab.txt is read with ``do_lower_case``, ``strip_accents`` and
            ``tokenize_chinese_chars`` of its tokenizer_config.json, where that is there.
        missing : optional
            What to return where there is no vocabulary at all, instead of an error.

        Raises
        ------
        OSError
            If there is no vocabulary, or it cannot be read.
        ValueError
            If it is none, or a piece stands in it twice.
        """
        folder = as_path("PieceTokenizer", folder)
        path = {
            name: os.path.join(folder, name)
            for name in (FILE, "vocab.txt", "vocab.json", "merges.txt", "tokenizer_config.json")
        }
        if os.path.exists(path[FILE]):
            return cls.load(path[FILE])
        if os.path.exists(path["vocab.txt"]):
            config = (
                read_json("PieceTokenizer", path["tokenizer_config.json"])
                if os.path.exists(path["tokenizer_config.json"])
                else {}
            )
            return cls(_word_pieces(_lines(path["vocab.txt"]), config, path["vocab.txt"]))
        if os.path.exists(path["vocab.json"]):
            merges = [line for line in _lines(path["merges.txt"]) if not line.startswith("#version")]
            return cls(_byte_pairs(read_json("PieceTokenizer", path["vocab.json"]), merges))
        if "missing" in otherwise:
            return otherwise["missing"]
        raise FileNotFoundError(
            f"PieceTokenizer: there is neither {FILE} nor vocab.txt nor vocab.json in {folder}; check the folder"
        )

    @classmethod
    def load(cls, path):
        """The tokenizer of a file tokenizer.json, or of one that `save` wrote.

        Raises
        ------
        OSError
            If it cannot be read.
        ValueError
            If it holds no tokenizer.
        """
        return cls(read_json("PieceTokenizer", path))

    def save(self, path):
        """Write the tokenizer to a file as tokenizer.json has it.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        write_bytes("PieceTokenizer.save", path, json.dumps(self.description, ensure_ascii=False).encode())

    def __repr__(self):
        return f"PieceTokenizer: {self.description['model'].get('type', 'pieces')}, {self.size} pieces"

    @property
    def library(self):
        """The ``tokenizers.Tokenizer`` that does the work.

        Raises
        ------
        ModuleNotFoundError
            If tokenizers is not installed.
        ValueError
            If it takes the description for none.
        """
        if self._library is None:
            try:
                from tokenizers import Tokenizer
            except ImportError:
                raise ModuleNotFoundError(
                    "PieceTokenizer: pieces are found by the package tokenizers, which is not installed; pip install 'nnscratch[text]'"
                ) from None
            try:
                self._library = Tokenizer.from_str(json.dumps(self.description))
            except Exception as error:  # it raises no narrower one
                raise ValueError(
                    f"PieceTokenizer: tokenizers cannot read the vocabulary ({error}); fetch it again"
                ) from None
        return self._library

    def __call__(self, texts, pairs=None, max_length=None):
        """Texts as rows of numbers, padded at their ends to the longest.

        Parameters
        ----------
        texts : list of str
        pairs : list of str, optional
            A second text for each.
        max_length : int, optional
            Longer texts are cut at their ends, a pair's longer one first.

        Returns
        -------
        Encoded

        Raises
        ------
        ModuleNotFoundError
            If tokenizers is not installed.
        TypeError, ValueError
            If these are no texts, or not as many in pairs.
        """
        given = _texts("texts", texts)
        if pairs is not None:
            given = list(zip(given, _texts("pairs", pairs, len(given)), strict=True))
        library = self.library
        library.no_truncation()
        if max_length is not None:
            library.enable_truncation(
                arguments.count("PieceTokenizer", "max_length", max_length, 4), strategy="longest_first"
            )
        found = library.encode_batch(given)
        ids = pad_sequences([e.ids for e in found], None, "int64", "post", value=self.padding)
        types = pad_sequences([e.type_ids for e in found], None, "int64", "post")
        return Encoded(ids, np.arange(ids.shape[1]) < np.array([[len(e.ids)] for e in found]), types)

    def decode(self, ids, special=False):
        """The text of a row of numbers; with `special`, pieces such as [SEP] are in it, too.

        Raises
        ------
        ModuleNotFoundError
            If tokenizers is not installed.
        """
        return self.library.decode([int(n) for n in ids], skip_special_tokens=not special)


def _texts(what, texts, count=None):
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        wrong = texts if isinstance(texts, str) else next(text for text in texts if not isinstance(text, str))
        raise TypeError(
            f"PieceTokenizer: {what} has the {type(wrong).__name__} {wrong!r:.40}, expected a list of str; pass [text]"
        )
    if not len(texts) or count not in (None, len(texts)):
        raise ValueError(
            f"PieceTokenizer: there are {len(texts)} {what}, expected {count or 'at least one'}; pass as many"
        )
    return list(texts)


def _lines(path):
    content = read_bytes("PieceTokenizer", path).decode("utf-8", "replace")
    return [line.rstrip("\r") for line in content.removesuffix("\n").split("\n")]


def _word_pieces(pieces, config, path):
    """BERT's tokenizer.json for a vocabulary: the longest piece that fits, again and again (Wu et al., 2016)."""
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    if len(vocabulary) < len(pieces):
        twice = next(piece for number, piece in enumerate(pieces) if vocabulary[piece] != number)
        lines = [number + 1 for number, piece in enumerate(pieces) if piece == twice]
        raise ValueError(
            f"PieceTokenizer: {twice!r} stands in lines {lines[0]} and {lines[1]} of {path}; a piece has one number"
        )
    absent = [piece for piece in SPECIAL[1:4] if piece not in vocabulary]
    if absent:
        raise ValueError(f"PieceTokenizer: {path} lacks {', '.join(absent)}; take a vocabulary of BERT's")
    normal = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
        "strip_accents": config.get("strip_accents"),
        "lowercase": config.get("do_lower_case", True),
    }
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": vocabulary,
    }
    ends = {end: [piece, vocabulary[piece]] for end, piece in (("sep", "[SEP]"), ("cls", "[CLS]"))}
    return {
        "version": "1.0",
        "added_tokens": [_added(piece, vocabulary[piece]) for piece in SPECIAL if piece in vocabulary],
        "normalizer": normal,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", **ends},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": model,
    }


def _byte_pairs(vocabulary, merges):
    """GPT-2's tokenizer.json for a vocabulary: pairs of pieces, of bytes first, joined in the order of `merges` (Sennrich et al., 2016)."""
    by_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges, "fuse_unk": False}
    model |= {"dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": ""}
    end = "<|endoftext|>"
    return {
        "version": "1.0",
        "added_tokens": [_added(end, vocabulary[end])] if end in vocabulary else [],
        "normalizer": None,
        "pre_tokenizer": by_bytes,
        "post_processor": {**by_bytes, "trim_offsets": False},
        "decoder": by_bytes,
        "model": model,
    }


def _added(piece, number):
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": piece, **flags, "special": True}
