"""Sequences of different lengths, under PyTorch's names: padded to one array and back, and packed without padding."""

from nnscratch.ops.sequences import PackedSequence, pack_padded_sequence, pad_packed_sequence, pad_sequence

__all__ = ["PackedSequence", "pack_padded_sequence", "pad_packed_sequence", "pad_sequence"]
