"""Softmax, its logarithm, and the logarithm of a sum of exponentials, accurate to 4 units in the last place."""
