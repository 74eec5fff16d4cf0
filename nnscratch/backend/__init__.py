"""The seam between devices: one object for each kind of device, found by an array's type or by a device's name."""

import numpy as np

from nnscratch import checks
from nnscratch.backend.cpu import CPU

cpu = CPU()
_BY_NAME = {"cpu": cpu}


def of(array):
    """The backend that an array lives on."""
    return cpu


def get(device=None):
    """The backend called `device` (None: the CPU).

    Raises
    ------
    ValueError
        Where there is no such device here.
    """
    if device is None:
        return cpu
    if device in _BY_NAME:
        return _BY_NAME[device]
    raise ValueError(
        f"device: {device!r} is not available, this version of nnscratch runs on {', '.join(map(repr, _BY_NAME))}; "
        f"use one of those"
    )


def devices():
    """The devices that can be used here, as a list of names.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.devices()
    ['cpu']
    """
    return list(_BY_NAME)


def asarray(data, dtype=None, device=None):
    """Data as an array of a device; Python numbers and lists become float32 (bool lists stay bool)."""
    return get(device).asarray(data, dtype)


def manual_seed(seed):
    """Seed every device's random numbers: initialisation, dropout, shuffling and augmentation follow from it.

    Parameters
    ----------
    seed : int
        Zero or greater.

    Raises
    ------
    ValueError
        Where `seed` is not such a number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.manual_seed(0)
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"manual_seed: got {seed!r}, expected a whole number of zero or more; pass for example 0")
    for b in _BY_NAME.values():
        b.seed(seed)


def generator(operation, seed=None):
    """A `numpy.random.Generator`: `seed` itself, a new one from a whole number, or, for None, that which `manual_seed` seeds.

    Raises
    ------
    TypeError, ValueError
        Where `seed` is none of these.

    Examples
    --------
    >>> int(generator("batches", 0).integers(100)) == int(generator("batches", 0).integers(100))
    True
    """
    if seed is None:
        return cpu.rng
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(checks.count(operation, "seed", seed, 0))
