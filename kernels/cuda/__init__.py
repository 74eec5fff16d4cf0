"""The kernels for NVIDIA GPUs: CuPy's arrays in, CuPy's arrays out, computed by CUDA C++ sources beside this file.

Every module here has the names and signatures of the module of `nnscratch.kernels` that defines the kernel for the CPU.
CuPy is loaded when the first kernel runs.
"""
