"""``python -m benchmarks gpu`` and ``cpu-vs-gpu``: nnscratch and its kernels on this machine's GPU."""
