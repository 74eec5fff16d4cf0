"""nnscratch: a neural-network engine written from scratch on NumPy."""

import os as _os

__version__ = "0.1.0"

# In a checkout the kernels stand beside this package, not inside it; this makes nnscratch.kernels importable there.
if not _os.path.isdir(_os.path.join(__path__[0], "kernels")):
    __path__.append(_os.path.dirname(__path__[0]))
