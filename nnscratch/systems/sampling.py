"""Drawing the next token from a network's probabilities."""

import numpy as np

from nnscratch import arguments


def draw(probabilities, generator, temperature=1.0, exclude=(), top_k=None, top_p=1.0):
    r"""Draw a token from probabilities that are sharpened or flattened, and cut to the likeliest.

    .. math:: q_i = \frac{p_i^{1/T}}{\sum_j p_j^{1/T}}

    (the softmax with temperature of Ackley, Hinton & Sejnowski, 1985, since :math:`p^{1/T} \propto e^{z/T}`.) Of these the k
    likeliest are kept (Fan et al., 2018), and of them the fewest whose sum is at least `top_p` of the whole, the nucleus (Holtzman et
    al., 2020).

    Parameters
    ----------
    probabilities : array (classes,)
    generator : numpy.random.Generator
    temperature : float
        At least 0: below 1 likely tokens become likelier, above 1 less so; 0 takes the likeliest.
    exclude : sequence of int
        Tokens that are never drawn, such as the padding.
    top_k : int, optional
        k, at least 1; None keeps all. Of equal probabilities the tokens with the lower numbers are kept.
    top_p : float
        Above 0 and up to 1, which keeps all.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If a setting is out of range, or all that is possible is excluded.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> draw([0.2, 0.5, 0.3], generator, temperature=0), draw([0.2, 0.5, 0.3], generator, exclude=[1, 2])
    (1, 0)
    >>> [draw([0.2, 0.5, 0.3], generator, top_p=0.7) for _ in range(6)]
    [1, 1, 1, 2, 2, 1]
    """
    arguments.number("generate", "temperature", temperature, 0)
    arguments.number("generate", "top_p", top_p, 0, 1, "(]")
    top_k = len(probabilities) if top_k is None else arguments.count("generate", "top_k", top_k)
    p = np.array(probabilities, np.float64)
    p[list(exclude)] = 0
    if not p.max() > 0:
        raise ValueError("generate: no token is possible; check the probabilities, and what is excluded")
    if temperature == 0:
        return int(p.argmax())
    # relative to the largest, which stays 1 however small the temperature is
    p = (p / p.max()) ** (1 / temperature)
    order = np.argsort(-p, kind="stable")[:top_k]
    sums = np.cumsum(p[order])
    order = order[: np.searchsorted(sums, top_p * sums[-1]) + 1] if top_p < 1 else order
    kept = np.zeros_like(p)
    kept[order] = p[order]
    return int(generator.choice(len(p), p=kept / kept.sum()))
