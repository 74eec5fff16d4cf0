"""Distillation: a small network learns from what a large one answers."""

import functools

from nnscratch import arguments, backend
from nnscratch import functional as F
from nnscratch.autograd import describe, no_grad
from nnscratch.nn import Module
from nnscratch.ops.activation import softmax
from nnscratch.ops.cross_entropy import logits_before
from nnscratch.ops.elementwise import log
from nnscratch.tensor import Tensor
from nnscratch.training import Supervised
from nnscratch.training.inventory import unchanged


class Distillation(Supervised):
    r"""Learning from a teacher's answers and from labels at once (Hinton et al., 2015).

    .. math:: L = \alpha\, L_T + (1 - \alpha)\, L_1

    where :math:`L_T` is `F.distillation_loss` at the temperature T, and :math:`L_1` the cross-entropy of the labels. The teacher
    is run in evaluation mode, and stays as it is.

    Parameters
    ----------
    student, teacher : nn.Module
        Networks that tell the same classes apart, by probabilities.
    optimizer : optim.Optimizer
        Of the student's parameters.
    temperature : float
        T, above 0.
    mixture : float
        α, from 0 (labels alone) to 1 (the teacher alone).
    metrics : sequence
        As for `Supervised`.
    from_logits : bool
        Whether both give values before softmax instead.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such; and before training, where the teacher tells other classes apart.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch import nn
    >>> (x, y), _ = ns.data.mnist(sample=True)
    >>> teacher, student = (nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Softmax()) for _ in range(2))
    >>> step = ns.compress.Distillation(student, teacher, ns.optim.Adam(student.parameters()), temperature=2.0)
    >>> history = ns.Trainer(step).fit(x[:64], y[:64], epochs=1, verbose=False)
    >>> list(history)
    ['loss', 'accuracy', 'lr', 'seconds']
    """

    def __init__(
        self, student, teacher, optimizer, temperature=4.0, mixture=0.9, metrics=("accuracy",), from_logits=False
    ):
        name = "Distillation"
        self.from_logits = arguments.flag(name, "from_logits", from_logits)
        loss = functools.partial(F.cross_entropy, from_logits=True) if from_logits else "cross_entropy"
        super().__init__(student, loss, optimizer, metrics)
        if not isinstance(teacher, Module):
            raise TypeError(f"{name}: teacher is {describe(teacher)}, expected an nn.Module; pass a trained network")
        self.teacher = teacher
        self.temperature = arguments.number(name, "temperature", temperature, 0, ends="()")
        self.mixture = arguments.number(name, "mixture", mixture, 0, 1)

    def _loss(self, loss, prediction, batch):
        value, count = super()._loss(loss, prediction, batch)
        student, teacher = self._logits(prediction), self._logits(self._answer(batch[:-1]))
        soft = F.distillation_loss(student, teacher, self.temperature)
        return self.mixture * soft + (1 - self.mixture) * value, count

    def _answer(self, inputs):
        with no_grad():
            answer = self.teacher(*inputs)
            if not self.from_logits:
                backend.of(answer.data).check(answer.data, 0, 1, _no_probability)
            return answer

    def _logits(self, prediction):
        """Logits, or of probabilities what softmax makes them of, up to a constant for each row."""
        if self.from_logits:
            return prediction
        before = logits_before(prediction, softmax)
        return log(prediction) if before is None else before

    def check_data(self, arrays, training):
        """See that loss and metrics take all targets, and that the teacher tells as many classes apart as the student."""
        super().check_data(arrays, training)
        device = next(self.parameters()).device
        with unchanged(self), no_grad(), self.mode(False):
            first = [Tensor(x[:1].copy(), device=device) for x in arrays[:-1]]
            student, teacher = self.model(*first), self._answer(first)
        if student.shape != teacher.shape:
            raise ValueError(
                f"Distillation: the teacher answers {teacher.shape[1:]} for a sample, the student {student.shape[1:]}, expected the "
                f"same classes; pass a teacher of these"
            )


def _no_probability(value):
    return ValueError(
        f"Distillation: the teacher answers {value:.6g}, which is no probability; for values before softmax pass from_logits=True"
    )
