"""Kernels to learn from: CUDA in Python, by Numba, each with the reason for its speed."""
