"""Networks: modules, layers and how their weights begin."""

from nnscratch.nn import init, models, utils
from nnscratch.nn.activation import (
    CELU,
    ELU,
    GELU,
    SELU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from nnscratch.nn.attention import KeyValueCache, MultiheadAttention
from nnscratch.nn.containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Residual, Sequential
from nnscratch.nn.convolution import Conv1d, Conv2d, ConvTranspose2d
from nnscratch.nn.embedding import Embedding, EmbeddingBag
from nnscratch.nn.layers import Dropout, Flatten, Identity, Linear, Reshape
from nnscratch.nn.module import Buffer, Module, Parameter
from nnscratch.nn.normalisation import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm, RMSNorm
from nnscratch.nn.pooling import AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from nnscratch.nn.positions import LearnedPositions, RotaryEmbedding, SinusoidalPositions
from nnscratch.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from nnscratch.nn.summary import Summary
from nnscratch.nn.transformer import (
    Transformer,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "CELU",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "ELU",
    "Embedding",
    "EmbeddingBag",
    "Flatten",
    "GELU",
    "GRU",
    "GRUCell",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Identity",
    "LSTM",
    "LSTMCell",
    "KeyValueCache",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositions",
    "Linear",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "PReLU",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "RMSNorm",
    "RNN",
    "RNNCell",
    "ReLU",
    "Reshape",
    "Residual",
    "RotaryEmbedding",
    "SELU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositions",
    "Softmax",
    "Softplus",
    "Softsign",
    "Summary",
    "Tanh",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "init",
    "models",
    "utils",
]
