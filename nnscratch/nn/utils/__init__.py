"""What networks need beside layers."""

from nnscratch.nn.utils import rnn

__all__ = ["rnn"]
