"""Rearranging images: channels laid out as pixels, and back."""

from nnscratch.arguments import count
from nnscratch.autograd import describe
from nnscratch.ops.shape import operand, reshape, transpose


def pixel_shuffle(x, factor):
    r"""Channels laid out as finer pixels (Shi et al., 2016).

    .. math:: y_{n,\,c,\,hr + i,\,wr + j} = x_{n,\,cr^2 + ir + j,\,h,\,w}

    Parameters
    ----------
    x : (N, C r², H, W)
    factor : int
        r.

    Returns
    -------
    (N, C, H r, W r)

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.pixel_shuffle(ns.tensor([[[[1.0]], [[2.0]], [[3.0]], [[4.0]]]]), 2)
    tensor([[[[1., 2.],
              [3., 4.]]]])
    """
    x, r = operand(x), count("pixel_shuffle", "factor", factor)
    if x.ndim != 4 or x.shape[1] % r**2:
        raise ValueError(
            f"pixel_shuffle: expected x (N, C * {r**2}, H, W), got {describe(x)}; check the channels and the factor"
        )
    n, c, h, w = x.shape
    fine = transpose(reshape(x, (n, c // r**2, r, r, h, w)), (0, 1, 4, 2, 5, 3))
    return reshape(fine, (n, c // r**2, h * r, w * r))


def pixel_unshuffle(x, factor):
    r"""Finer pixels laid out as channels: `pixel_shuffle` undone.

    .. math:: y_{n,\,cr^2 + ir + j,\,h,\,w} = x_{n,\,c,\,hr + i,\,wr + j}

    Parameters
    ----------
    x : (N, C, H r, W r)
    factor : int
        r.

    Returns
    -------
    (N, C r², H, W)

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.pixel_unshuffle(ns.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2).shape
    (1, 4, 1, 1)
    """
    x, r = operand(x), count("pixel_unshuffle", "factor", factor)
    if x.ndim != 4 or x.shape[2] % r or x.shape[3] % r:
        raise ValueError(
            f"pixel_unshuffle: expected x (N, C, H * {r}, W * {r}), got {describe(x)}; check the size and the factor"
        )
    n, c, h, w = x.shape
    coarse = transpose(reshape(x, (n, c, h // r, r, w // r, r)), (0, 1, 3, 5, 2, 4))
    return reshape(coarse, (n, c * r**2, h // r, w // r))
