"""Putting the stand-in where nnscratch looks for CuPy."""

import contextlib
import sys

from nnscratch.kernels.cuda import runtime

from nnscratch import backend
from nnscratch.autograd import OPS
from tests import standin


@contextlib.contextmanager
def standing_in(definitions=True):
    """Within this block the stand-in is what nnscratch finds as CuPy, with the kernels' definitions or those in CUDA C++."""
    known = (backend._by_name, backend.BY_TYPE, backend.RAW_TYPES)
    before = [type(k)(k) for k in known]
    for name in ("cuda", standin.ndarray):
        backend._by_name.pop(name, None)
    modules = {name: sys.modules[name] for name in list(sys.modules) if name.partition(".")[0] == "cupy"}
    for name in modules:
        del sys.modules[name]
    sys.modules["cupy"] = standin
    runtime.forget()
    try:
        backend.get("cuda").definitions = definitions
        yield standin
    finally:
        del sys.modules["cupy"]
        sys.modules.update(modules)
        runtime.forget()
        for k, old in zip(known, before, strict=True):
            k.clear()
            k.update(old)
        for operation in OPS.values():  # what was found while there were two devices asks for the device at each call
            vars(operation).pop("kernel", None)
