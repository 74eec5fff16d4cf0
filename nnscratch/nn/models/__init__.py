"""Networks that others trained and publish: BERT, ALBERT and GPT-2, a file for each, which can be read from top to bottom."""

from nnscratch.nn.models.bert import Albert, Bert, mean_of_tokens
from nnscratch.nn.models.gpt2 import Gpt2
from nnscratch.nn.models.pretrained import Pretrained, Report, from_config, from_pretrained

__all__ = ["Albert", "Bert", "Gpt2", "Pretrained", "Report", "from_config", "from_pretrained", "mean_of_tokens"]
