"""Words or characters numbered by how often they occur, with the meaning that Keras gave its Tokenizer (000 §5.2)."""

import json
from collections import Counter

import numpy as np

from nnscratch import arguments
from nnscratch.files import as_path, parse_json, read_bytes, write_bytes

#: What Keras leaves out of texts by default: ASCII's punctuation but the apostrophe, tabs and ends of lines.
FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
MODES = ("binary", "count", "freq", "tfidf")
_SETTINGS = {"num_words", "filters", "lower", "split", "char_level", "oov_token", "document_count"}
_COUNTS = ("word_counts", "word_docs", "index_docs", "word_index", "index_word")


def words(text, filters=FILTERS, lower=True, split=" "):
    r"""The words of a text: what stands between blanks when the characters of `filters` are blanks, too.

    Only what `filters` names parts words. Full-width punctuation, carriage returns and no-break blanks stay with theirs: see
    `clean`.

    Parameters
    ----------
    text : str
    filters : str
        Characters, each of which is replaced by `split`.
    lower : bool
        Whether to make all letters small first.
    split : str
        What parts words.

    Returns
    -------
    list of str

    Raises
    ------
    TypeError
        If `text` is no str.

    Examples
    --------
    >>> words("Don't panic, Mr. Dent!")
    ["don't", 'panic', 'mr', 'dent']
    >>> words("好，很好。\r\n")
    ['好，很好。\r']
    """
    if not isinstance(text, str):
        raise TypeError(f"words: text is a {type(text).__name__}, expected a str; pass one text at a time")
    text = text.lower() if lower else text
    return [word for word in text.translate(dict.fromkeys(map(ord, filters), split)).split(split) if word]


class Tokenizer:
    """Texts as sequences of whole numbers, one for each word or character; what is more frequent has a lower number.

    The numbers are those of Keras's ``Tokenizer``, which the code of 000 §5.2 uses. 0 is no token: it is for padding. Of tokens that
    occur as often as each other the one seen first comes first. `num_words` keeps the numbers below it: with 1000 the 999 most
    frequent tokens. Others are left out of sequences, or become `oov_token`, whose number is 1.

    There are two differences. A token that is spelt like `oov_token` has its number, 1; in Keras it moves `oov_token` to another
    number, which may be beyond `num_words`. And turned back into text, the padding 0 is left out and characters are joined
    without blanks.

    Parameters
    ----------
    num_words : int, optional
        The size of the vocabulary with 0, and with `oov_token`; None keeps all tokens.
    filters, lower, split
        As in `words`.
    char_level : bool
        Whether each character is a token; `filters` and `split` have then no part in it.
    oov_token : str, optional
        What stands for tokens outside of the vocabulary.

    Attributes
    ----------
    word_counts : dict of str to int
        How often each token occurs, in the order in which they were seen.
    word_docs : dict of str to int
        In how many texts.
    document_count : int
        How many texts were seen.
    word_index : dict of str to int
        The number of each token seen, of those beyond `num_words`, too.
    index_word : dict of int to str

    Raises
    ------
    TypeError, ValueError
        If a setting is not such.

    Examples
    --------
    >>> tokenizer = Tokenizer(num_words=4)
    >>> tokenizer.fit_on_texts(["The cat saw the dog.", "The dog ran."])
    >>> tokenizer.word_index
    {'the': 1, 'dog': 2, 'cat': 3, 'saw': 4, 'ran': 5}
    >>> tokenizer.texts_to_sequences(["The dog saw a cat."])
    [[1, 2, 3]]
    """

    def __init__(self, num_words=None, filters=FILTERS, lower=True, split=" ", char_level=False, oov_token=None):
        self.num_words = None if num_words is None else arguments.count("Tokenizer", "num_words", num_words, 2)
        for what, value in (("filters", filters), ("split", split), ("oov_token", oov_token)):
            if not isinstance(value, str) and not (value is None and what == "oov_token"):
                raise TypeError(f"Tokenizer: {what} is {value!r}, expected a str; pass one")
        if not split:
            raise ValueError(
                "Tokenizer: split is empty, expected what parts words; for characters pass char_level=True"
            )
        self.filters, self.split, self.oov_token = filters, split, oov_token
        self.lower = arguments.flag("Tokenizer", "lower", lower)
        self.char_level = arguments.flag("Tokenizer", "char_level", char_level)
        self.word_counts: dict[str, int] = {}
        self.word_docs: dict[str, int] = {}
        self.document_count = 0
        self._number([])

    def _number(self, tokens):
        """Give tokens their numbers, from 1, after that of `oov_token`."""
        first = [] if self.oov_token is None else [self.oov_token]
        order = first + [token for token in tokens if token != self.oov_token]
        self.word_index = {token: number for number, token in enumerate(order, 1)}
        self.index_word = dict(enumerate(order, 1))

    def __repr__(self):
        given = {name: getattr(self, name) for name in ("num_words", "char_level", "oov_token")}
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items() if value)
        return f"Tokenizer({shown}): {len(self.word_counts)} tokens seen in {self.document_count} texts"

    @property
    def vocabulary_size(self):
        """How many numbers sequences have, the padding 0 with them: the entries that an `nn.Embedding` needs."""
        entries = len(self.word_index) + 1
        return entries if self.num_words is None else min(self.num_words, entries)

    def tokens(self, text):
        """The tokens of a text, or of a list of such, as strings.

        Raises
        ------
        TypeError
            If it is neither.
        """
        if isinstance(text, list | tuple) and all(isinstance(token, str) for token in text):
            return [token.lower() for token in text] if self.lower else list(text)
        if not isinstance(text, str):
            raise TypeError(
                f"Tokenizer: a text is a {type(text).__name__}, expected a str or a list of tokens; pass one"
            )
        if self.char_level:
            return list(text.lower() if self.lower else text)
        return words(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts):
        """Count the tokens of texts, beside those counted before, and number them anew.

        Parameters
        ----------
        texts : iterable of str, or of lists of str
            Texts, or such as are tokens already.

        Raises
        ------
        TypeError
            If `texts` is a single str, or one of them is no text.
        ValueError
            If no token was seen in any.
        """
        counts, docs, seen = Counter(self.word_counts), Counter(self.word_docs), self.document_count
        for text in _several("fit_on_texts", texts):
            tokens = self.tokens(text)
            counts.update(tokens)
            docs.update(set(tokens))
            seen += 1
        if not counts:
            raise ValueError(
                f"Tokenizer: {seen} texts hold no token at all, expected some; check the texts and `filters`"
            )
        self.word_counts, self.word_docs, self.document_count = dict(counts), dict(docs), seen
        self._number(sorted(counts, key=counts.get, reverse=True))

    def texts_to_sequences(self, texts):
        """The numbers of the tokens of each text; what is outside of the vocabulary is left out, or is `oov_token`'s.

        Parameters
        ----------
        texts : iterable of str, or of lists of str

        Returns
        -------
        list of list of int
            As many as texts; empty where none of a text's tokens has a number.

        Raises
        ------
        TypeError
            If `texts` is a single str, or one of them is no text.
        ValueError
            If the tokenizer has seen no texts yet.
        """
        self._check()
        limit = self.vocabulary_size if self.num_words is None else self.num_words
        known = {token: number for token, number in self.word_index.items() if number < limit}
        other = self.word_index.get(self.oov_token)
        sequences = []
        for text in _several("texts_to_sequences", texts):
            numbers = (known.get(token, other) for token in self.tokens(text))
            sequences.append([number for number in numbers if number is not None])
        return sequences

    def sequences_to_texts(self, sequences):
        """The tokens of each sequence as a text: words with blanks between them, or characters without.

        Parameters
        ----------
        sequences : iterable of sequences of int
            0, which is padding, is left out, and so are numbers without a token.

        Returns
        -------
        list of str

        Raises
        ------
        ValueError
            If the tokenizer has seen no texts yet.
        """
        self._check()
        between = "" if self.char_level else " "
        return [
            between.join(self.index_word[number] for number in map(int, sequence) if number in self.index_word)
            for sequence in sequences
        ]

    def texts_to_matrix(self, texts, mode="binary"):
        r"""Texts as bags of words: a row for each text, a column for each number, 0 among them.

        Parameters
        ----------
        texts : iterable of str, or of lists of str
        mode : str
            What a column holds of a token that occurs c times among a text's n: "binary" 1, "count" c, "freq" c / n, "tfidf"
            :math:`(1 + \ln c) \ln(1 + D / (1 + d))`, where it was seen in d of D texts.

        Returns
        -------
        numpy.ndarray
            float32, (texts, vocabulary_size).

        Raises
        ------
        TypeError
            If `texts` is a single str, or one of them is no text.
        ValueError
            If the mode is none of these, or the tokenizer has seen no texts yet.

        Examples
        --------
        >>> tokenizer = Tokenizer()
        >>> tokenizer.fit_on_texts(["a b b"])
        >>> tokenizer.texts_to_matrix(["b b a", "b"], mode="count")
        array([[0., 2., 1.],
               [0., 1., 0.]], dtype=float32)
        """
        if mode not in MODES:
            raise ValueError(f"Tokenizer: mode is {mode!r}, expected one of {', '.join(map(repr, MODES))}; pass one")
        sequences = self.texts_to_sequences(texts)
        matrix = np.zeros((len(sequences), self.vocabulary_size))
        for row, sequence in zip(matrix, sequences, strict=True):
            np.add.at(row, sequence, 1)
        if mode == "binary":
            matrix = matrix > 0
        elif mode == "freq":
            matrix /= np.maximum(matrix.sum(1, keepdims=True), 1)
        elif mode == "tfidf":
            docs = np.array([self.word_docs.get(self.index_word.get(n), 0) for n in range(self.vocabulary_size)])
            weight = np.log(1 + self.document_count / (1 + docs))
            matrix = np.where(matrix > 0, 1 + np.log(np.maximum(matrix, 1)), 0) * weight
        return matrix.astype(np.float32)

    def _check(self):
        if not self.word_counts:
            raise ValueError("Tokenizer: has seen no texts yet; call fit_on_texts first")

    # In files

    def to_json(self):
        """The tokenizer as JSON, as that of Keras writes it, whose ``tokenizer_from_json`` reads it."""
        index_docs = {self.word_index[token]: n for token, n in self.word_docs.items()}
        counts = (self.word_counts, self.word_docs, index_docs, self.word_index, self.index_word)
        config = {name: getattr(self, name) for name in sorted(_SETTINGS)}
        config |= {name: json.dumps(value) for name, value in zip(_COUNTS, counts, strict=True)}
        return json.dumps({"class_name": "Tokenizer", "config": config})

    @classmethod
    def from_json(cls, text):
        """The tokenizer that `to_json`, or that of Keras, wrote.

        Raises
        ------
        ValueError
            If it is none.

        Examples
        --------
        >>> tokenizer = Tokenizer(char_level=True)
        >>> tokenizer.fit_on_texts(["abba"])
        >>> Tokenizer.from_json(tokenizer.to_json()).texts_to_sequences(["bab"])
        [[2, 1, 2]]
        """
        return cls._read("from_json", "the text", text)

    @classmethod
    def _read(cls, operation, where, text):
        try:
            config = parse_json(text)["config"]
            counts, docs, index = (parse_json(config[name]) for name in ("word_counts", "word_docs", "word_index"))
            settings = {name: config[name] for name in _SETTINGS}
            documents = arguments.count(operation, "document_count", settings.pop("document_count"), 0)
            tokenizer = cls(**settings)
            for counted in (counts, docs, index):
                for token, n in counted.items():
                    arguments.count(operation, f"the number of {token!r}", n)
            tokens = {*counts} | ({tokenizer.oov_token} - {None} if counts else set())
            if docs.keys() != counts.keys() or (counts and index.keys() != tokens):
                raise ValueError("its counts are of other tokens than its numbers")
            if len({*index.values()}) != len(index):
                raise ValueError("two of its tokens have one number")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = arguments.named(f"{error} is missing" if isinstance(error, KeyError) else error)
            raise ValueError(f"{operation}: {where} is no tokenizer's JSON ({reason}); write it with `save`") from None
        tokenizer.word_counts, tokenizer.word_docs, tokenizer.document_count = counts, docs, documents
        if counts:
            tokenizer.word_index, tokenizer.index_word = index, {number: token for token, number in index.items()}
        return tokenizer

    def save(self, path):
        """Write the tokenizer to a file, as `to_json` has it.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        write_bytes("Tokenizer.save", path, self.to_json().encode())

    @classmethod
    def load(cls, path):
        """Read a tokenizer from a file that `save` wrote, or that holds what Keras's ``to_json`` returns.

        Raises
        ------
        OSError
            If it cannot be read.
        ValueError
            If it holds no tokenizer, or is cut off.

        Examples
        --------
        >>> import tempfile
        >>> tokenizer = Tokenizer(oov_token="?")
        >>> tokenizer.fit_on_texts(["to be or not to be"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tokenizer.save(folder + "/words.json")
        ...     Tokenizer.load(folder + "/words.json").texts_to_sequences(["to do or not"])
        [[2, 1, 4, 5]]
        """
        path = as_path("Tokenizer.load", path)
        return cls._read("Tokenizer.load", path, read_bytes("Tokenizer.load", path).decode("utf-8", "replace"))


def _several(operation, texts):
    """Texts, of which a str is only one."""
    if isinstance(texts, str) or not hasattr(texts, "__iter__"):
        raise TypeError(f"{operation}: texts is a {type(texts).__name__}, expected a list of texts; pass [text]")
    return texts
