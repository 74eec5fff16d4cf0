"""Drawing the next token from a network's probabilities."""

import numpy as np

from nnscratch import arguments


def draw(probabilities, generator, temperature=1.0, exclude=()):
    r"""Draw a token from probabilities that are sharpened or flattened.

    .. math:: q_i = \frac{p_i^{1/T}}{\sum_j p_j^{1/T}}

    (the softmax with temperature of Ackley, Hinton & Sejnowski, 1985, since :math:`p^{1/T} \propto e^{z/T}`.)

    Parameters
    ----------
    probabilities : array (classes,)
    generator : numpy.random.Generator
    temperature : float
        At least 0: below 1 likely tokens become likelier, above 1 less so; 0 takes the likeliest.
    exclude : sequence of int
        Tokens that are never drawn, such as the padding.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the temperature is below 0.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> draw([0.2, 0.5, 0.3], generator, temperature=0), draw([0.2, 0.5, 0.3], generator, exclude=[1, 2])
    (1, 0)
    """
    arguments.number("generate", "temperature", temperature, 0)
    p = np.array(probabilities, np.float64)
    p[list(exclude)] = 0
    if temperature == 0:
        return int(p.argmax())
    # relative to the largest, which stays 1 however small the temperature is
    p = (p / p.max()) ** (1 / temperature)
    return int(generator.choice(len(p), p=p / p.sum()))
