"""What a Trainer asks of the processes that train with it."""

import functools

from nnscratch.nn import BatchNorm1d
from nnscratch.training.inventory import checksum
from nnscratch.training.resume import data_of, inventory


def of_all_ranks(fit):
    """A Trainer's `fit` that trains with its other processes, all of which an error of one ends."""

    @functools.wraps(fit)
    def together(self, *args, **kwargs):
        ranks = self.distributed
        if ranks is None:
            return fit(self, *args, **kwargs)
        self.step.ranks = ranks
        try:
            with ranks.together():
                return fit(self, *args, **kwargs)
        finally:
            self.step.ranks = None

    return together


def agreed(trainer):
    """See that all ranks have the same run before them; returns a line that says which processes they are.

    Raises
    ------
    ValueError
        Where they have not, or the network cannot be trained in the way that was asked for.
    """
    ranks = trainer.distributed
    modules = [part for module in trainer.step.modules.values() for part in module.modules()]
    if ranks.reduction == "ordered" and any(isinstance(part, BatchNorm1d) for part in modules):
        raise ValueError(
            "fit: batch normalisation standardises each block of a batch by itself, so that its running statistics depend on the number "
            "of ranks; use reduction='average' (with batch_norm=True for the moments of all ranks), or nn.GroupNorm"
        )
    weights = {
        f"{name}.{path}": checksum(t) for name, m in trainer.step.modules.items() for path, t in m.named_parameters()
    }
    found = ranks.versions() | trainer._settings | data_of(trainer) | weights
    found |= {
        "epochs": trainer.epochs,
        "random numbers": inventory(trainer).random()[:-2],
    }  # all but NumPy's and Python's own
    ranks.agree("fit", found | {path: value for path, value in trainer._begun.items() if value is not None})
    return ranks.processes()
