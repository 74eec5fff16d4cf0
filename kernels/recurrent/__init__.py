"""Recurrent layers: one layer in one direction, over the steps of a packed batch."""
