"""Pruning by magnitude: the smallest weights become 0, and stay 0 while the others learn on."""

import numpy as np

from nnscratch import arguments, backend
from nnscratch.autograd import describe, no_grad
from nnscratch.nn import Module
from nnscratch.optim import Optimizer
from nnscratch.training import Callback


class Masks:
    """Which weights of a network are kept, each of the others 0 (magnitude pruning: Han, Pool, Tran & Dally, 2015).

    Parameters
    ----------
    model : nn.Module
        Masked in place.
    names : sequence of str, optional
        The paths of the parameters that are pruned; by default all that are no vectors, so no biases.
    by_layer : bool
        Whether each parameter loses the same share; else the smallest of all weights go, wherever they stand.

    Attributes
    ----------
    kept : dict of str to array of bool
        By path; nothing is pruned at first.

    Raises
    ------
    TypeError, ValueError
        Where `model` is no network, or a name none of its parameters.

    Examples
    --------
    >>> import nnscratch as ns
    >>> model = ns.nn.Linear(100, 10)
    >>> masks = ns.compress.Masks(model)
    >>> masks.prune(0.9)
    >>> masks.sparsity, int((model.weight.numpy() == 0).sum())
    (0.9, 900)
    >>> optimizer = ns.optim.Adam(model.parameters())
    >>> masks.keep_in(optimizer)  # momentum would revive them at the next step
    >>> _ = ns.Trainer(model, "mse", optimizer).fit(np.ones((8, 100)), np.ones((8, 10)), verbose=False)
    >>> masks.sparsity, int((model.weight.numpy() == 0).sum())
    (0.9, 900)
    """

    def __init__(self, model, names=None, by_layer=False):
        if not isinstance(model, Module):
            raise TypeError(f"Masks: model is {describe(model)}, expected an nn.Module; pass a network")
        self.model, self.by_layer = model, arguments.flag("Masks", "by_layer", by_layer)
        every = dict(model.named_parameters())
        chosen = [name for name, p in every.items() if p.ndim > 1] if names is None else list(names)
        unknown = next((name for name in chosen if name not in every), None)
        if unknown is not None or not chosen:
            raise ValueError(
                f"Masks: there is {'nothing to prune' if unknown is None else f'no parameter {unknown!r}'} among "
                f"{arguments.several(list(every)) or 'no parameters'}; pass names of these"
            )
        self._weights = {name: every[name] for name in chosen}
        self.kept = {name: np.ones(p.shape, bool) for name, p in self._weights.items()}

    @property
    def sparsity(self):
        """The share of the weights that are pruned."""
        return 1 - sum(int(m.sum()) for m in self.kept.values()) / sum(m.size for m in self.kept.values())

    def prune(self, amount):
        """Set the smallest weights to 0, so that `amount` of all are; those that are 0 already are among them.

        Parameters
        ----------
        amount : float
            From 0 up to below 1: a share of the weights, whose number is rounded to the nearest, a half to even.

        Raises
        ------
        TypeError, ValueError
            Where it is no such number, less than is pruned already, or nothing would be left of a parameter; nothing is changed then.
        """
        amount = arguments.number("prune", "amount", amount, 0, 1, "[)")
        groups = [[name] for name in self.kept] if self.by_layer else [list(self.kept)]
        found = {}
        for names in groups:
            found |= self._pruned(names, amount)
        empty = [name for name, mask in found.items() if not mask.any()]
        if empty:
            raise ValueError(
                f"prune: with {amount:g} nothing would be left of {arguments.several(empty)}; pass less, or prune by_layer"
            )
        self.kept = found
        self.apply()

    def _pruned(self, names, amount):
        """The masks of some parameters, of whose weights together that share is pruned."""
        # Weights that are pruned come first: they stay so.
        sizes = [np.where(self.kept[n], np.abs(backend.to_numpy(self._weights[n].data)), -1).reshape(-1) for n in names]
        sizes = np.concatenate([s.astype(np.float64) for s in sizes])
        count, before = round(amount * sizes.size), int((sizes < 0).sum())
        if count < before:
            raise ValueError(
                f"prune: {before} of {sizes.size} weights are pruned already, and {amount:g} would be {count}; pass more, or begin "
                f"with new Masks"
            )
        kept = np.ones(sizes.size, bool)
        kept[np.argsort(sizes, kind="stable")[:count]] = False
        ends = np.cumsum([self.kept[n].size for n in names])[:-1]
        return {n: m.reshape(self.kept[n].shape) for n, m in zip(names, np.split(kept, ends), strict=True)}

    def apply(self):
        """Set the pruned weights to 0 again."""
        with no_grad():
            for name, p in self._weights.items():
                p[...] = p.data * backend.asarray(self.kept[name], device=p.device)

    def keep_in(self, optimizer):
        """Let the optimiser do that after each of its steps: momentum and decay would revive them.

        Parameters
        ----------
        optimizer : optim.Optimizer
        """
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"keep_in: got {describe(optimizer)}, expected an optimiser; pass the one that trains")
        if self.apply not in optimizer.projections:
            optimizer.projections = (*optimizer.projections, self.apply)

    def rewind(self, state):
        """Give the weights that are kept the values they once had: the lottery ticket (Frankle & Carbin, 2019).

        Parameters
        ----------
        state : dict of str to array
            What ``model.state_dict()`` was before training, or a little after its beginning.

        Examples
        --------
        >>> import nnscratch as ns
        >>> model = ns.nn.Linear(4, 2)
        >>> beginning = model.state_dict()
        >>> masks = ns.compress.Masks(model)  # and now it would be trained
        >>> masks.prune(0.5)
        >>> masks.rewind(beginning)
        >>> bool((model.weight.numpy() == beginning["weight"] * masks.kept["weight"]).all())
        True
        """
        self.model.load_state_dict(state)
        self.apply()

    def state_dict(self):
        """The masks by path, eight weights a byte."""
        return {name: np.packbits(mask) for name, mask in self.kept.items()}

    def load_state_dict(self, state):
        """Take over what `state_dict` returned, and apply it.

        Raises
        ------
        ValueError
            Where it is of other parameters.
        """
        lengths = {name: -(-mask.size // 8) for name, mask in self.kept.items()}
        if {name: getattr(a, "size", None) for name, a in state.items()} != lengths:
            raise ValueError(
                "Masks: the state is of other parameters; load it into masks of the network that it was saved of"
            )
        self.kept = {
            name: np.unpackbits(state[name], count=mask.size).astype(bool).reshape(mask.shape)
            for name, mask in self.kept.items()
        }
        self.apply()


class GradualPruning(Callback):
    r"""Prune a little more before each epoch, most at first, so that what is left can take over (Zhu & Gupta, 2018).

    .. math:: s_t = s - s\,(1 - t / n)^3

    is pruned before epoch t of the first n; then the network learns on with what is left. Pruned weights stay 0.

    Parameters
    ----------
    masks : Masks
    amount : float
        s, the share that is pruned in the end, from 0 up to below 1.
    epochs : int
        n; with 1 all is pruned at once.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> model = ns.nn.Linear(10, 1)
    >>> trainer = ns.Trainer(model, "mse", ns.optim.SGD(model.parameters(), lr=0.01))
    >>> pruning = ns.compress.GradualPruning(ns.compress.Masks(model), 0.8, epochs=4)
    >>> [round(pruning.amount_at(epoch), 3) for epoch in (1, 2, 3, 4, 5)]
    [0.463, 0.7, 0.788, 0.8, 0.8]
    >>> _ = trainer.fit(np.ones((4, 10)), np.ones((4, 1)), epochs=5, callbacks=[pruning], verbose=False)
    >>> int((model.weight.numpy() == 0).sum())
    8
    """

    def __init__(self, masks, amount, epochs=1):
        if not isinstance(masks, Masks):
            raise TypeError(
                f"GradualPruning: masks is {describe(masks)}, expected compress.Masks; make them of the model"
            )
        self.masks = masks
        self.amount = arguments.number("GradualPruning", "amount", amount, 0, 1, "[)")
        self.epochs = arguments.count("GradualPruning", "epochs", epochs)

    def amount_at(self, epoch):
        """The share that is pruned in epoch number `epoch`, from 1."""
        return self.amount - self.amount * max(0.0, 1 - epoch / self.epochs) ** 3

    def on_fit_begin(self, trainer):
        own = {id(p) for p in self.masks._weights.values()}
        for optimizer in trainer.step.optimizers.values():
            if any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
                self.masks.keep_in(optimizer)

    def on_epoch_begin(self, trainer, epoch):
        self.masks.prune(self.amount_at(epoch))

    def state_dict(self):
        return self.masks.state_dict()

    def load_state_dict(self, state):
        self.masks.load_state_dict(state)
