"""Attention: sums of values, weighed by how well queries and keys agree."""
