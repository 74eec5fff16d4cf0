"""What networks need beside layers."""

from nnscratch.hints import guide
from nnscratch.nn.utils import rnn

__all__ = ["rnn"]

guide(__name__)
