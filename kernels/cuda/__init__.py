"""What the kernels for NVIDIA GPUs share: CuPy's arrays in, CuPy's arrays out, computed by CUDA C++ sources.

Each topic's ``cuda.py`` stands beside its ``.cu`` and has the names, arguments and results of its ``definition.py``. CuPy is loaded
when the first kernel runs.
"""
