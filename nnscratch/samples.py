"""The old name of `nnscratch.sample_inputs`, kept for one version."""

import warnings

from nnscratch import sample_inputs


def __getattr__(name):
    value = getattr(sample_inputs, name)
    warnings.warn(
        f"nnscratch.samples is now nnscratch.sample_inputs; import {name} from there", DeprecationWarning, stacklevel=2
    )
    return value
