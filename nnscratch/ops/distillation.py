"""What a network loses that is to answer as another one does."""

import math

from nnscratch import arguments
from nnscratch.autograd import describe, op
from nnscratch.ops.activation import log_softmax, softmax
from nnscratch.ops.elementwise import astype, equal, where
from nnscratch.ops.loss import mean_of_losses
from nnscratch.ops.operands import floating_point, raw
from nnscratch.ops.reduce import sum
from nnscratch.sample_inputs import Case, normal


@op(
    formula=r"L = -\frac{T^2}{n} \sum_i \sum_k q_{ik} \ln p_{ik}, "
    r"\quad p = \operatorname{softmax}(s / T), \quad q = \operatorname{softmax}(t / T)",
    derivative=r"\frac{T}{n} (p_{ik} - q_{ik}), \quad -\frac{T}{n} q_{ik} (\ln p_{ik} - \sum_j q_{ij} \ln p_{ij})",
    document="Hinton et al., 2015, §2",
    samples=(
        Case(normal(4, 3), normal(4, 3)),
        Case(normal(4, 3), normal(4, 3), 4.0),
        Case(normal(2, 3, 5), normal(2, 3, 5), 0.5),
    ),
)
def distillation_loss(student, teacher, temperature=1.0):
    """The cross-entropy of a student's answers to a teacher's, both softened by a temperature (Hinton et al., 2015, §2).

    A high temperature shows in what proportion the teacher takes an input for the wrong classes. The gradients shrink with its
    square, and are multiplied by that, so that they weigh the same beside those of labels.

    Parameters
    ----------
    student, teacher : (..., classes) Tensor or array
        What each says, as logits (s, t).
    temperature : float
        T, above 0.

    Returns
    -------
    A single number, the mean over rows.

    Raises
    ------
    TypeError, ValueError
        Where they are no floating-point numbers of one shape, there are none, or the temperature is not above 0.

    Examples
    --------
    >>> import nnscratch as ns
    >>> student, teacher = ns.tensor([[1.0, 0.0]], requires_grad=True), ns.tensor([[1.0, 0.0]])
    >>> loss = ns.functional.distillation_loss(student, teacher, 2.0)
    >>> loss, ns.grad(loss, student)
    (tensor(2.6513894, op=distillation_loss), tensor([[0., 0.]]))
    """
    name = "distillation_loss"
    arguments.number(name, "temperature", temperature, 0, ends="()")
    student, teacher = floating_point(name, "student", student), floating_point(name, "teacher", teacher)
    if student.shape != teacher.shape or not student.ndim or not student.size:
        raise ValueError(
            f"{name}: student is {describe(student)}, teacher {describe(teacher)}, expected one shape (..., classes); "
            f"let both tell the same classes apart"
        )
    q, log_p = _answers(student, teacher, temperature)
    losses = -(temperature**2) * sum(where(equal(q, 0), 0, log_p) * q, -1, keepdims=True)  # 0 ln 0 counts as 0
    return mean_of_losses(losses, raw(losses).size)


def _answers(student, teacher, temperature):
    """The teacher's softened probabilities, and the logarithms of the student's."""
    teacher = teacher if teacher.dtype == student.dtype else astype(teacher, student.dtype)
    return softmax(teacher / temperature), log_softmax(student / temperature)


def _weight(g, shape, temperature):
    """What a gradient of a row's logits is multiplied by."""
    return g * (temperature * shape[-1] / math.prod(shape))


@distillation_loss.rule("student")
def _(g, student, teacher, temperature):
    q, _ = _answers(student, teacher, temperature)
    return _weight(g, student.shape, temperature) * (softmax(student / temperature) - q)


@distillation_loss.rule("teacher")
def _(g, student, teacher, temperature):
    q, log_p = _answers(student, teacher, temperature)
    log_p = where(equal(q, 0), 0, log_p)
    gradient = _weight(g, student.shape, temperature) * q * (sum(q * log_p, -1, keepdims=True) - log_p)
    return gradient if gradient.dtype == teacher.dtype else astype(gradient, teacher.dtype)
