"""What users call on tensors and arrays: activations, layers, losses (imported as ``F``).

Each function accepts Tensors and raw arrays alike; given raw arrays alone it returns a raw array. The functions stand in the
modules of `nnscratch.ops`, by topic.
"""

from nnscratch.hints import guide
from nnscratch.ops.activation import (
    celu,
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    leaky_relu,
    log_softmax,
    mish,
    normal_cdf,
    prelu,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
)
from nnscratch.ops.adversarial import critic_loss, discriminator_loss, generator_loss, gradient_penalty
from nnscratch.ops.attention import scaled_dot_product_attention
from nnscratch.ops.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d, fold, unfold
from nnscratch.ops.cross_entropy import binary_cross_entropy, cross_entropy, nll_loss
from nnscratch.ops.distances import (
    cosine_embedding_loss,
    cosine_similarity,
    huber_loss,
    kl_div,
    pairwise_distance,
    smooth_l1_loss,
    triplet_margin_loss,
)
from nnscratch.ops.distillation import distillation_loss
from nnscratch.ops.dropout import dropout, dropout1d, dropout2d
from nnscratch.ops.elementwise import tanh
from nnscratch.ops.embedding import embedding, embedding_bag
from nnscratch.ops.images import interpolate, pixel_shuffle, pixel_unshuffle
from nnscratch.ops.linear import linear
from nnscratch.ops.loss import l1_loss, log_likelihood, mse_loss
from nnscratch.ops.normalise import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    normalize,
    rms_norm,
)
from nnscratch.ops.pool import (
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
    max_pool2d_indices,
    max_unpool2d,
)
from nnscratch.ops.positions import rotary
from nnscratch.ops.quantise import fake_quantize
from nnscratch.ops.recurrent import gru, gru_cell, lstm, lstm_cell, rnn, rnn_cell
from nnscratch.ops.reduce import logsumexp

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "celu",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "critic_loss",
    "cross_entropy",
    "discriminator_loss",
    "distillation_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "embedding_bag",
    "fake_quantize",
    "fold",
    "gelu",
    "generator_loss",
    "gradient_penalty",
    "group_norm",
    "gru",
    "gru_cell",
    "hardsigmoid",
    "hardswish",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_likelihood",
    "log_softmax",
    "logsumexp",
    "lstm",
    "lstm_cell",
    "max_pool1d",
    "max_pool2d",
    "max_pool2d_indices",
    "max_unpool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normal_cdf",
    "normalize",
    "pairwise_distance",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu",
    "rms_norm",
    "rnn",
    "rnn_cell",
    "rotary",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    "triplet_margin_loss",
    "unfold",
]

guide(__name__)
