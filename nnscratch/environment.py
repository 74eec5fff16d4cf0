"""The environment variables that nnscratch looks at, and a line on those that it does not know."""

import os
import sys

#: What each says, and the values that it may have; None for any.
VARIABLES = {
    "NNSCRATCH_BITS": ("how much of tests/test_bits.py runs", None),
    "NNSCRATCH_COMPILED": ("0 leaves out compiled loops", ("0", "1")),
    "NNSCRATCH_CUDA_CACHE": ("the folder of compiled CUDA kernels", None),
    "NNSCRATCH_DATA": ("the folder of data sets", None),
    "NNSCRATCH_KEEP_MEMORY": ("0 gives freed memory back to the system", ("0", "1")),
    "NNSCRATCH_QUIET": ("1 leaves out the line on compiling", ("0", "1")),
    "NNSCRATCH_SEEDS": ("from how many seeds tests/test_planted.py checks", None),
    "NNSCRATCH_THREADS": ("how many threads kernels are divided among", None),
}


def faults(environment):
    """What is wrong with the variables of an environment whose names begin with ``NNSCRATCH_``, a sentence each.

    Examples
    --------
    >>> faults({"NNSCRATCH_THREAD": "2", "NNSCRATCH_QUIET": "1"})
    ['there is no variable NNSCRATCH_THREAD, which is passed over; did you mean NNSCRATCH_THREADS?']
    """
    found = []
    for name in environment:
        if not name.startswith("NNSCRATCH_"):
            continue
        if name not in VARIABLES:
            import difflib

            close = difflib.get_close_matches(name, VARIABLES, 1)
            advice = f"did you mean {close[0]}?" if close else f"those there are: {', '.join(VARIABLES)}"
            found.append(f"there is no variable {_shown(name)}, which is passed over; {advice}")
            continue
        allowed = VARIABLES[name][1]
        if allowed and environment[name] and environment[name] not in allowed:
            found.append(
                f"{name} is {_shown(environment[name])!r}, which is passed over; set it to {' or '.join(allowed)}, or unset it"
            )
    return found


def _shown(text):
    from nnscratch.arguments import named

    return named(text, 60)


def check():
    """Write a line of the log for each fault of this process's environment.

    Raises
    ------
    ImportError
        Where Python runs without its global lock, with which alone nnscratch has been tested.
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise ImportError(
            "nnscratch: this Python runs without its global lock, and nnscratch has only been tested with it; set PYTHON_GIL=1"
        )
    for fault in faults(os.environ):
        import logging

        logging.getLogger("nnscratch").warning("nnscratch: %s", fault)
