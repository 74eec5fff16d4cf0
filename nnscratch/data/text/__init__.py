"""Text made into numbers: cleaning, tokens and their vocabulary, padding, windows, and batches of similar length."""

from nnscratch.data.text.cleaning import clean
from nnscratch.data.text.loading import BucketLoader, SequenceDataset
from nnscratch.data.text.pieces import Encoded, PieceTokenizer
from nnscratch.data.text.sequences import next_step, pad_sequences, streams, windows
from nnscratch.data.text.signs import frequent_pairs, sign_pairs
from nnscratch.data.text.tokenizer import FILTERS, Tokenizer, words

__all__ = [
    "FILTERS",
    "BucketLoader",
    "Encoded",
    "PieceTokenizer",
    "SequenceDataset",
    "Tokenizer",
    "clean",
    "frequent_pairs",
    "next_step",
    "pad_sequences",
    "sign_pairs",
    "streams",
    "windows",
    "words",
]
