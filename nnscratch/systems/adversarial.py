"""Two networks trained in turn: one makes samples from noise, the other tells them from given ones."""

import contextlib

import numpy as np

from nnscratch import autograd, nn
from nnscratch import functional as F
from nnscratch.data import generator
from nnscratch.metrics import Accuracy
from nnscratch.ops.shape import concatenate
from nnscratch.tensor import Tensor
from nnscratch.training import Step

PENALTY = 10.0


class Pair(nn.Module):
    """A generator, with the moving average of its weights, and a discriminator.

    Samples are made by the averaged weights, which change more evenly than those that are learnt (Yazici et al., 2019).

    Parameters
    ----------
    make : callable
        Returns a new generator.
    discriminator : nn.Module
    noise : int
        How many numbers the generator makes a sample of.

    Examples
    --------
    >>> import nnscratch as ns
    >>> pair = Pair(lambda: nn.Linear(2, 3), nn.Linear(3, 1), 2)
    >>> pair.make(4).shape, pair(pair.draw(4)).shape
    ((4, 3), (4, 1))
    """

    def __init__(self, make, discriminator, noise):
        super().__init__()
        self.generator, self.discriminator, self.noise = make(), discriminator, noise
        self.averaged = make()
        self.averaged.load_state_dict(self.generator.state_dict())
        self.averaged.requires_grad_(False)
        self.averaged.eval()

    def draw(self, n):
        """Noise for `n` samples, normally distributed."""
        noise = generator().standard_normal((n, self.noise), np.float32)
        return Tensor(noise, device=next(self.parameters()).device)

    def make(self, n):
        """So many samples, by the weights that are learnt."""
        return self.generator(self.draw(n))

    def forward(self, noise):
        """What the discriminator says of the samples that are made from noise"""
        return self.discriminator(self.generator(noise))

    def average(self, share):
        """Move the averaged weights towards those that are learnt."""
        for kept, learnt in zip(_values(self.averaged), _values(self.generator), strict=True):
            kept.data[...] += share * (learnt.data - kept.data)


def _values(module):
    return [*module.parameters(), *module.buffers()]


class Adversarial(Step):
    """The game of Goodfellow et al. (2014): a batch teaches the discriminator, then the generator by what the discriminator says.

    A batch is of images, and of their labels, which nobody looks at.

    Parameters
    ----------
    model : Pair
    discriminator_optimizer, generator_optimizer : optim.Optimizer
    true : float
        The label of given samples: see `F.discriminator_loss`.
    share : float
        How far the averaged weights move in each step; in the first ones further.

    Examples
    --------
    >>> import nnscratch as ns
    >>> pair = Pair(lambda: nn.Linear(2, 3), nn.Linear(3, 1), 2)
    >>> optimizers = [ns.optim.SGD(part.parameters(), lr=0.1) for part in (pair.discriminator, pair.generator)]
    >>> history = ns.Trainer(Adversarial(pair, *optimizers)).fit(np.ones((8, 3)), epochs=2, verbose=False)
    >>> list(history)
    ['discriminator_loss', 'generator_loss', 'discriminator_accuracy', 'lr', 'seconds']
    """

    names = ("discriminator_loss", "generator_loss")
    #: How often the discriminator learns from a batch, each time beside new samples.
    turns = 1

    def __init__(self, model, discriminator_optimizer, generator_optimizer, true=0.9, share=1e-2):
        self.model, self.true, self.share, self.steps = model, true, share, 0
        self.discriminator_optimizer, self.generator_optimizer = discriminator_optimizer, generator_optimizer
        self.metrics = {"discriminator_accuracy": Accuracy()}

    def update(self, images, labels=None):
        n = len(images)
        for _ in range(self.turns):
            with autograd.no_grad():
                made = self.model.make(n)
            real, fake = self.said(images, made)
            loss = self.discriminator_loss(real, fake, images, made)
            self.minimize(loss, self.discriminator_optimizer, n)
        with _still(self.model.discriminator):
            made_loss = self.generator_loss(self.model.discriminator(self.model.make(n)))
            self.minimize(made_loss, self.generator_optimizer, n)
        self.steps += 1
        self.model.average(max(self.share, 10 / (self.steps + 10)))  # at first what is averaged is of little worth
        return {
            "discriminator_loss": loss,
            "generator_loss": made_loss,
            "discriminator_accuracy": self.guesses(real, fake),
        }

    def measure(self, images, labels=None):
        return {"discriminator_accuracy": self.guesses(*self.said(images, self.model.make(len(images))))}

    def predict(self, noise):
        return self.model.averaged(noise)

    def said(self, images, made):
        """What the discriminator says of given and of made samples, which it sees in one batch."""
        said = self.model.discriminator(concatenate([images, made]))
        return said[: len(images)], said[len(images) :]

    def discriminator_loss(self, real, fake, images, made):
        """The discriminator's loss by what it said, and of what."""
        return F.discriminator_loss(real, fake, self.true)

    def generator_loss(self, fake):
        """The generator's loss by what the discriminator said."""
        return F.generator_loss(fake)

    def guesses(self, real, fake):
        """The probabilities that the discriminator gives to samples being given ones, and whether they are."""
        said = self.logits(concatenate([real, fake]).reshape(-1))
        truth = np.repeat([1, 0], len(real))
        return F.sigmoid(said), truth

    def logits(self, said):
        """What the discriminator said as logits."""
        return said


class Wasserstein(Adversarial):
    """The game with a critic, whose gradients are held near a length of 1 (Arjovsky et al., 2017; Gulrajani et al., 2017).

    The critic learns twice from each batch (Gulrajani et al.: five times, from batches of their own).

    Examples
    --------
    >>> Wasserstein.turns
    2
    """

    turns = 2

    def discriminator_loss(self, real, fake, images, made):
        share = generator().random((len(images), *(1,) * (images.ndim - 1)), np.float32)
        share = Tensor(share, device=images.device)
        between = Tensor((share * images + (1 - share) * made).data, requires_grad=True)
        gradients = autograd.grad(self.model.discriminator(between).sum(), between, create_graph=True)
        return F.critic_loss(real, fake) + PENALTY * F.gradient_penalty(gradients)

    def generator_loss(self, fake):
        return -fake.mean()

    def logits(self, said):
        return said - said.mean()  # a critic has no threshold


@contextlib.contextmanager
def _still(module):
    """No gradients for a module's parameters within this block."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
