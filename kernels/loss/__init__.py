"""Losses and their sums, accurate to 4 units in the last place."""
