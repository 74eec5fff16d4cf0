"""The five documents that nnscratch implements: what stands where in them, in our own words, and how a citation is read.

``python -m nnscratch.formulas --write`` makes docs/documents.md of it. The site and the notebooks written from it link their
citations to that page; what `ns.explain` and `ns.graph` show says at the pointer what a citation names.
"""

import html
import re
from typing import NamedTuple


class Place(NamedTuple):
    """What a citation names: a title, and what nnscratch takes from there."""

    title: str
    text: str = ""


#: What each document is, and each of its sections.
DOCUMENTS = {
    "000": Place(
        "large models and user experience",
        "An article in Chinese on products that are built upon large models. It goes from the notion of a large model over training, "
        "formulas and two programs to applications, tools and questions. Its sections are numbered; its appendix is a list of questions.",
    ),
    "000 §1": Place("introduction", "What the article is about. Nothing is taken from it."),
    "000 §2": Place(
        "notions: layers, optimisers, measures",
        "A network as input, hidden and output layers with an optimiser and measures. Batch normalisation and adapted learning rates are "
        "named as quick and as a help against overfitting, and training spread over several machines.",
    ),
    "000 §3": Place(
        "training step by step, and a convolutional network for MNIST",
        "Data: cleaning, scaling, augmenting (rotating, scaling, cropping), splitting. SGD, Adam, rates that decay or warm up. Then the "
        "program that is S2. nnscratch has all of them, in `ns.data`, `ns.optim` and `ns.Trainer`.",
    ),
    "000 §4": Place(
        "the formulas: activations, losses, optimisers; a 3-5-1 network in code",
        "States F2, F3, F4, F6, F7, F10 and F11. Then follows S1 in NumPy, whose code does other things than its formulas: E1, E4.",
    ),
    "000 §5.1": Place("what to install for the text generator", "Nothing is taken from it."),
    "000 §5.2": Place("a text generator with an LSTM", "The program of S4, with the faults that E8 names."),
    "000 §5.3": Place("the text generator explained", "Says in words what the program of 000 §5.2 does."),
    "000 §6": Place("applications", "Language, images, recommendation, medicine, speech. Nothing is taken from it."),
    "000 §7": Place(
        "books, frameworks, tools", "Among them tools to watch a training with; nnscratch has curves and callbacks."
    ),
    "000 §8": Place("what may come, and what is difficult", "Nothing is taken from it."),
    "000 App. Q1": Place("how much computing a training takes", "Nothing is taken from it."),
    "000 App. Q2": Place(
        "overfitting, and what helps",
        "L1 and L2 penalties, dropout, cross-validation and augmentation: `optim.l1_penalty`, `optim.l2_penalty`, `nn.Dropout`, "
        "`data.k_fold` and the augmentations of `ns.data`.",
    ),
    "000 App. Q3": Place(
        "how a classifier is measured",
        "Accuracy, recall, F1 score, ROC curve and AUC in words (F14). The text's word for precision is that for accuracy; nnscratch uses the "
        "standard definitions.",
    ),
    "000 App. Q4": Place("how long a training takes", "Nothing is taken from it."),
    "000 App. Q5": Place(
        "classes of unequal size",
        "Drawing samples anew, weights for classes, made-up samples: `data.oversample`, `data.undersample`, `data.class_weights`.",
    ),
    "000 App. Q6": Place("whether large models suit every task", "Nothing is taken from it."),
    "001": Place(
        "technical advantages in a company of large models",
        "An article in Chinese for founders of companies. Its parts have no numbers, but what stands in them begins to count anew: the part on "
        "algorithms has points 1 to 7 (point 4 is the one on model optimisation), the part on mathematics points 1 to 5, the program 5.1 to "
        "5.3. A number such as 001 §5 is therefore that of two places, and each entry below names both.",
    ),
    "001 §1": Place(
        "a neuron (mathematics); what deep learning is (algorithms)",
        "The layer of neurons: weighted sum, bias, activation (F1).",
    ),
    "001 §2": Place(
        "the forward pass, layer by layer (mathematics; algorithms)",
        "The same for a network of any depth, layers numbered (F1).",
    ),
    "001 §3": Place(
        "backpropagation (mathematics; algorithms)",
        "The errors of the layers and the gradients that follow (F9), with the sign and the transpose of E3; the update (F10).",
    ),
    "001 §4": Place(
        "losses (mathematics); model optimisation (algorithms)",
        "Mean squared error (F6) and cross-entropy (F7). Among the algorithms: batch size, learning rate, gradient descent, momentum and "
        "Adam, and L1, L2 and dropout against overfitting. Momentum has no formula there.",
    ),
    "001 §5": Place(
        "a network with one hidden layer in NumPy (mathematics); measuring and tuning (algorithms)",
        "The program of S5, whose labels and gradient are E5. Among the algorithms the measures of F14, and that settings are chosen by a "
        "validation set and judged by a test set.",
    ),
    "001 §5.1": Place("what to install for the sentiment classifier", "Nothing is taken from it."),
    "001 §5.2": Place("BERT for the sentiment of sentences", "The program of S6."),
    "001 §5.3": Place("the sentiment classifier explained", "Says in words what the program of 001 §5.2 does."),
    "001 §6": Place(
        "putting a model to use (algorithms)",
        "Names quantisation, pruning and distillation. nnscratch shows a distillation's step.",
    ),
    "001 §7": Place("a model's life (algorithms); tools and papers", "Nothing is taken from it."),
    "002": Place(
        "technical breakthroughs with large models",
        "Two articles in Chinese on one subject in one file: a short one, and after it a long one with the same headings. Where both have a "
        "section of a number, the entry below says what each has.",
    ),
    "002 §1": Place("introduction (short and long)", "Nothing is taken from it."),
    "002 §2": Place("notions: deep learning, language, vision", "Fields of use in words. Nothing is taken from it."),
    "002 §3.1": Place(
        "the steps of an algorithm (short); convolutional networks (long)",
        "Convolution, activation, pooling, a dense layer at the end: the layers of S2 and S3.",
    ),
    "002 §3.2": Place(
        "the steps in detail (short); the Transformer (long)",
        "Self-attention, several heads and a feed-forward network, without a formula. They belong to S7.",
    ),
    "002 §3.3": Place("for and against (short); which network for what (long)", "Nothing is taken from it."),
    "002 §3.4": Place("fields of use", "Nothing is taken from it."),
    "002 §4.1": Place(
        "a neuron, ReLU and softmax",
        "Weighted sum with a bias (F1), ReLU (F3), softmax (F5), whose sum uses one index for two things and is read as F5 says.",
    ),
    "002 §4.2": Place(
        "forward, loss and backward, derived",
        "Layer by layer forward (F1), cross-entropy as a sum (F8), and backpropagation with gradient descent in words (F9).",
    ),
    "002 §4.3": Place(
        "a 2-3-1 network followed by hand (long); GPT-3 in words (short)",
        "The network S8, whose printed numbers are the worked example W3.",
    ),
    "002 §5.1": Place("what to install", "Nothing is taken from it."),
    "002 §5.2": Place(
        "a GPT (short); a text classifier with word vectors and an LSTM (long)",
        "The program of S7, and that of S9, which has dropout.",
    ),
    "002 §5.3": Place("the programs explained", "Says in words what the programs of 002 §5.2 do."),
    "002 §5.4": Place(
        "curves of a training", "Loss and accuracy per epoch, of training and validation: `pictures.curves`."
    ),
    "002 §6": Place("applications", "Nothing is taken from it."),
    "002 §7": Place("what may come", "Nothing is taken from it."),
    "002 §8": Place("books, tools, papers", "Nothing is taken from it."),
    "002 §9": Place("summary", "Nothing is taken from it."),
    "002 App. 1": Place(
        "where the computing comes from",
        "Training on several machines or GPUs, and better optimisers. nnscratch uses one machine.",
    ),
    "002 App. 2": Place("the privacy of users", "Nothing is taken from it."),
    "002 App. 3": Place(
        "how a model is measured",
        "Accuracy, recall, precision, F1 score, ROC curve and AUC (F14), and k-fold cross-validation (`data.k_fold`).",
    ),
    "003": Place(
        "product managers in the age of large models",
        "An article in Chinese on large models in products: self-supervised and adversarial training, a few formulas, a program for MNIST, "
        "applications, tools and questions. It has no section 6.",
    ),
    "003 §1": Place("introduction, and words explained", "Nothing is taken from it."),
    "003 §2.1": Place(
        "notions: self-supervised learning, adversarial networks",
        "Hiding part of the input and predicting it, which is the idea of S10.",
    ),
    "003 §2.2": Place("a flow chart", "Nothing is taken from it."),
    "003 §2.3": Place("large models beside other techniques", "Nothing is taken from it."),
    "003 §2.4": Place("combined with other techniques", "Nothing is taken from it."),
    "003 §3.1": Place("the principle of the algorithms", "Self-supervised and adversarial training in words."),
    "003 §3.2": Place(
        "the steps in code",
        "An outline of S10 and S11: hide, predict, fine-tune; generator and discriminator trained in turn.",
    ),
    "003 §3.3": Place("the code explained", "Says in words what 003 §3.2 does."),
    "003 §4.1": Place(
        "probability, likelihood, cross-entropy, gradient descent",
        "A function divided by its sum is a distribution (F13), the logarithm of the likelihood (F12), cross-entropy of two distributions "
        "(F8), gradient descent (F10).",
    ),
    "003 §4.2": Place(
        "a 784-100-10 network for digits",
        "Scaled pixels, part of an image hidden and predicted, then classes; a GAN beside it: S13 and S11.",
    ),
    "003 §4.3": Place("the formulas explained", "Says in words what 003 §4.1 states."),
    "003 §5.1": Place("what to install", "Nothing is taken from it."),
    "003 §5.2": Place("a small convolutional network for MNIST", "The program of S3, with softmax taken twice (E6)."),
    "003 §5.3": Place("the small network explained", "Says in words what the program of 003 §5.2 does."),
    "003 §5.4": Place("applications", "Nothing is taken from it."),
    "003 §7": Place("books, courses, tools, papers", "Nothing is taken from it."),
    "003 §8": Place("what may come, and what is difficult", "Nothing is taken from it."),
    "003 §9.3": Place("how a training is improved", "Clean and scaled data, a fitting network, Adam. No formulas."),
    "003 §9.4": Place("how a model is measured", "Accuracy, recall, F1 score (F14), and losses."),
    "004": Place(
        "the market of large models",
        "An article in Chinese on what large models are, how they are trained, and who wants them. The numbers 2.1 to 2.3 stand twice in it, "
        "first over outlines and then over the sections that have parts (2.2.3, say); 2.4 and 2.5 stand once. It has no section 3.",
    ),
    "004 §1": Place("introduction, and words explained", "Nothing is taken from it."),
    "004 §2.1": Place("how many parameters", "More parameters express more, and overfit sooner."),
    "004 §2.2.1": Place("the parts of a network", "Input, hidden and output layers."),
    "004 §2.2.2": Place("layers", "The same, layer by layer."),
    "004 §2.2.3": Place("a neuron and its weights", "Activation of weights times inputs plus bias (F1)."),
    "004 §2.2.4": Place(
        "activation functions in words", "Sigmoid, tanh, and a ReLU in words that its formula contradicts (E7)."
    ),
    "004 §2.2.5": Place("deep, wide, many parameters", "Nothing is taken from it."),
    "004 §2.2.6": Place("fields of use", "Nothing is taken from it."),
    "004 §2.3.1": Place("the steps of a training", "Forward, loss, backward, update, again: what `ns.Trainer` does."),
    "004 §2.3.2": Place("losses in words", "Mean squared error, cross-entropy, and the loss of a GAN (S11)."),
    "004 §2.3.3": Place(
        "optimisers in words",
        "Gradient descent, with momentum, and Adam. Momentum has no formula; nnscratch cites its own source.",
    ),
    "004 §2.3.4": Place("activation functions in words, again", "The words of 004 §2.2.4 (E7)."),
    "004 §2.3.5": Place(
        "what helps a training",
        "Batch normalisation, dropout, and learning rates that change: `nn.BatchNorm1d`, `nn.Dropout`, `optim.lr_scheduler`.",
    ),
    "004 §2.3.6": Place("how a classifier is measured", "Accuracy, precision, recall and F1 score (F14)."),
    "004 §2.4": Place("training and tuning", "Cleaning, beginning values, loss, optimiser, settings: in words."),
    "004 §2.5": Place("what is difficult", "Nothing is taken from it."),
    "004 §4.1": Place("what a mathematical model is", "Nothing is taken from it."),
    "004 §4.2.1": Place("mean squared error", "F6."),
    "004 §4.2.2": Place("cross-entropy", "F8: the sum, without a division."),
    "004 §4.3.1": Place("gradient descent", "F10."),
    "004 §4.3.2": Place("Adam", "The last of the three formulas of F11, without a correction of the bias."),
    "004 §4.4.1": Place("ReLU", "F3, with the words of E7 beside it."),
    "004 §4.4.2": Place("sigmoid", "F2."),
    "004 §4.5.1": Place("mean squared error of three values", "The worked example W1 (E2)."),
    "004 §4.5.2": Place("cross-entropy of three values", "The worked example W2 (E9)."),
    "004 §5.1": Place("what to install", "Nothing is taken from it."),
    "004 §5.2": Place(
        "a binary classifier of ten features", "The program of S12, whose loss does not fit its output (E6)."
    ),
    "004 §5.3": Place("the classifier explained", "Says in words what the program of 004 §5.2 does."),
    "004 §6": Place("applications", "Nothing is taken from it."),
    "004 §7": Place("books, courses, tools, papers", "Nothing is taken from it."),
    "004 §8": Place("what may come, and what is difficult", "Nothing is taken from it."),
    "004 §9": Place(
        "questions and answers",
        "What a large model is, how it is trained and measured: what the sections before it have said.",
    ),
}

FORMULAS = {
    "F1": Place("a layer of neurons before its activation"),
    "F2": Place("sigmoid"),
    "F3": Place("ReLU"),
    "F4": Place("tanh"),
    "F5": Place("softmax"),
    "F6": Place("mean squared error"),
    "F7": Place("cross-entropy of probabilities, a mean"),
    "F8": Place("cross-entropy of two distributions, a sum"),
    "F9": Place("backpropagation"),
    "F10": Place("gradient descent"),
    "F11": Place("Adam, without a correction of the bias"),
    "F12": Place("log-likelihood"),
    "F13": Place("a function divided by its sum, a distribution"),
    "F14": Place("accuracy, precision, recall, F1 score, ROC curve, AUC"),
}

#: The networks; which of them nnscratch has, and by which name, it says itself.
SYSTEMS = {
    "S1": Place(
        "3-5-1 network",
        "From 000 §4. Three features, five hidden neurons, one output, sigmoid on both layers, mean squared error; 100 samples, 1000 epochs of "
        "gradient descent at 0.1.",
    ),
    "S2": Place(
        "convolutional network for MNIST",
        "From 000 §3. Convolutions to 32 and 64 channels by 3×3 windows, each with ReLU and a pooling by 2; dense layers of 64 with ReLU and of "
        "10 with softmax. Adam, cross-entropy, batches of 64, 5 epochs, a fifth of the images for validation.",
    ),
    "S3": Place(
        "smaller convolutional network for MNIST",
        "From 003 §5.2. One convolution to 32 channels, pooling, dense layers of 128 and 10. Adam at 0.001, 10 epochs.",
    ),
    "S4": Place(
        "text generator",
        "From 000 §5.2. A vocabulary of 1000 words, an embedding of 256, an LSTM of 512, softmax over the words; text is drawn word by word.",
    ),
    "S5": Place(
        "one hidden layer, its backward pass by hand",
        "From 001 §5. ReLU, one sigmoid output, mean squared error; every gradient is written out.",
    ),
    "S6": Place(
        "BERT for the sentiment of sentences",
        "From 001 §5.1–5.3. Word pieces of Chinese sentences cut or padded to 128, a trained encoder, two classes; 3 epochs at batch 16.",
    ),
    "S7": Place(
        "GPT",
        "From 002 §5.2. An embedding, a Transformer with 4 heads, softmax over the vocabulary. Adam, 10 epochs at batch 32.",
    ),
    "S8": Place(
        "2-3-1 network followed by hand", "From 002 §4.3. Forward, loss, backward and update with numbers that are W3."
    ),
    "S9": Place(
        "text classifier",
        "From 002 §5.2–5.4. Word vectors of 100 numbers, two layers of an LSTM in both directions, 128 wide, dropout 0.5, a linear layer. Adam, "
        "cross-entropy, 10 epochs at batch 64, curves.",
    ),
    "S10": Place(
        "masked language model",
        "From 003 §2.1, §3.2. Part of the input is hidden and predicted; then the network is tuned to a task.",
    ),
    "S11": Place("GAN", "From 003 §3.2, §4.2; 004 §2.3.2. A generator and a discriminator, trained in turn."),
    "S12": Place(
        "binary classifier of ten features",
        "From 004 §5.2. 100 samples, a dense layer of 64 with ReLU, one sigmoid output. Adam at 0.001, 10 epochs at batch 10, a fifth for "
        "validation. The loss is binary cross-entropy (E6).",
    ),
    "S13": Place(
        "784-100-10 network for digits",
        "From 003 §4.2. First parts of the images are hidden and predicted, then it learns the classes by cross-entropy and Adam.",
    ),
}

#: What the right values are, docs/formulas.md says: the engine computes them.
WORKED = {
    "W1": Place("mean squared error of three values", "004 §4.5.1 prints 2/3 for ŷ = (2, 4, 3) and y = (3, 5, 4)."),
    "W2": Place(
        "cross-entropy of three values", "004 §4.5.2 prints about 0.229 for ŷ = (0.8, 0.2, 0.9) and y = (1, 0, 1)."
    ),
    "W3": Place(
        "the numbers of the 2-3-1 network",
        "002 §4.3 prints sums that do not follow from the weights that it lists, and has a softmax over one output, whose loss and gradients are "
        "0 whatever the weights are.",
    ),
}


class Contradiction(NamedTuple):
    """Where a document contradicts itself, and what nnscratch does."""

    title: str
    text: str
    resolution: str


CONTRADICTIONS = {
    "E1": Contradiction(
        "half of the mean squared error",
        "000 §4's code takes $`0.5 \\cdot \\text{mean}`$, its formula $`\\frac{1}{n} \\sum`$.",
        "The formula: `F.mse_loss`.",
    ),
    "E2": Contradiction(
        "a sum that is wrong",
        "The worked example W1 gives 2/3 where its formula gives 1.",
        "The formula; see W1 below.",
    ),
    "E3": Contradiction(
        "a sign and a transpose in backpropagation",
        "001 §3 writes $`\\delta^{(L)} = \\sigma'(z) (y - \\hat y)`$ and leaves out the transpose of $`W^{(l+1)}`$; with the update "
        "$`W \\leftarrow W - \\alpha\\, \\partial J / \\partial W`$ the sign must be $`\\hat y - y`$, and MSE contributes the factor $`2/n`$.",
        "What differentiation of F6 gives, checked against central differences.",
    ),
    "E4": Contradiction(
        "an activation that is left out going forward",
        "000 §4's code applies no activation in the hidden layer going forward, differentiates one going back, and adds the "
        "gradient's negative.",
        "Forward as its formulas say, σ on both layers; backward by differentiation (`nnscratch train regression-3-5-1`).",
    ),
    "E5": Contradiction(
        "labels made of predictions, and another loss's gradient",
        "001 §5's code derives the labels from its own predictions, and uses for MSE the gradient of sigmoid with cross-entropy.",
        "Labels are given, and each loss has its own gradient (`nnscratch train hand-written-mlp`).",
    ),
    "E6": Contradiction(
        "softmax twice, and a loss that does not fit its output",
        "003 §5.2 has a softmax layer and `from_logits=True`: softmax twice. 004 §5.2 has one sigmoid output with the sparse "
        "categorical loss.",
        "Probabilities with `from_logits=False`, or logits with `True` (`mnist-cnn-small`); binary cross-entropy for one sigmoid "
        "output (`binary-classifier`). `F.cross_entropy` refuses values that are no probabilities.",
    ),
    "E7": Contradiction(
        "ReLU in words",
        "004 §2.2.4, §2.3.4 and §4.4.1 say in words that ReLU sets what is above zero to 1.",
        "The formula $`\\max(0, x)`$: `F.relu`.",
    ),
    "E8": Contradiction(
        "a generator that learns to repeat its input",
        "000 §5.2 fits the sequences to themselves with no shift, and samples from a (time × vocabulary) row.",
        "Targets are the inputs moved on by one step, and a sample is drawn from the last step. (The text generator itself is "
        "still to come.)",
    ),
    "E9": Contradiction(
        "worked examples that do not follow from their formulas",
        "The worked examples W2 and W3 print values that do not follow from their formulas.",
        "The formulas; see W2 and W3 below.",
    ),
}

PLACES = {**DOCUMENTS, **FORMULAS, **SYSTEMS, **CONTRADICTIONS, **WORKED}

#: What text that cites the documents says of its citations, once.
HINT = (
    "Citations such as 000 §4 or F1 name places in the documents; `nnscratch documents 000 §4` says what stands there."
)

_CITATION = re.compile(
    r"(?<![\w.,§/-])(?P<document>00[0-4])(?![\w/-]|[.,]\d)(?:\s+(?P<place>§\d+(?:\.\d+)*|App\.\s+Q?\d))?"
    r"|(?P<more>§\d+(?:\.\d+)*)"
    r"|(?<=\d)–(?P<last>\d+(?:\.\d+)*)"
    r"|(?<![\w.-])(?P<number>[FSWE]\d{1,2})(?![\w.-]*\w|\sscore)"
)
#: Between a document's name and a further section of it.
_GOES_ON = re.compile(r"(?:[\s,(]|and)*")
#: Markdown in which nothing is a citation: code, formulas, links, headings, HTML.
_NO_WORDS = re.compile(
    r"^```.*?^```|`(?:[^`\n]|\n(?!\n))*`|\$\$.*?\$\$|\$(?:[^$\n]|\n(?!\n))+\$|!?\[[^\]]*\]\([^)]*\)|^#.*?$|<[^>\n]*>",
    re.M | re.S,
)


def citations(text):
    """Where a text cites the documents, and what.

    Parameters
    ----------
    text : str
        Words, without formulas and code.

    Returns
    -------
    list of (int, int, str)
        Of each citation its beginning, its end, and the key that `PLACES` has it under where it is a right one. A section
        that is named after another of the same document, and the end of a range, are citations of their own.

    Examples
    --------
    >>> text = "F1: 001 §1, §2; 002 §4.1–4.2 (E3)"
    >>> [(text[start:end], key) for start, end, key in citations(text)][1:4]
    [('001 §1', '001 §1'), ('§2', '001 §2'), ('002 §4.1', '002 §4.1')]
    """
    found, document, end = [], "", 0
    for match in _CITATION.finditer(text):
        near = bool(document) and bool(_GOES_ON.fullmatch(text, end, match.start()))
        start, kind = match.start(), match.lastgroup
        if kind in ("document", "place"):
            document = match["document"]
            place = re.sub(r"\s+", " ", match["place"] or "")
            key = f"{document} {place}".strip()
        elif kind == "number":
            document, key = "", match["number"]
        elif not near or (kind == "last" and start != end):
            continue
        else:
            key, start = f"{document} §{match[kind].lstrip('§')}", match.start(kind)
        end = match.end()
        found.append((start, end, key))
    return found


def anchor(key):
    """The anchor that a citation has on the page docs/documents.md.

    Examples
    --------
    >>> anchor("000 §4"), anchor("000 App. Q3"), anchor("F14")
    ('000-4', '000-app-q3', 'f14')
    """
    return re.sub(r"[^\w\- ]", "", key.lower()).replace(" ", "-")


def meaning(key):
    """A citation and what it names, in a line.

    Examples
    --------
    >>> meaning("F3"), meaning("000 §5.2")
    ('F3: ReLU', '000 §5.2: a text generator with an LSTM')
    """
    return f"{key}: {PLACES[key].title}"


def pieces(text):
    """A text cut into its right citations and what stands between them: words, and a citation's key or None.

    Examples
    --------
    >>> list(pieces("as F3 says"))
    [('as ', None), ('F3', 'F3'), (' says', None)]
    """
    done = 0
    for start, end, key in citations(text):
        if key in PLACES:
            yield text[done:start], None
            yield text[start:end], key
            done = end
    yield text[done:], None


def linked(text, page, titles=False):
    """Markdown with its citations as links.

    Parameters
    ----------
    text : str
        Markdown; its code, formulas, headings and links stay as they are.
    page : str
        Where docs/documents.md is, seen from the text; "" on the page itself.
    titles : bool
        Whether a link says what it leads to.

    Examples
    --------
    >>> print(linked("`F1` is F1: 001 §1", "documents.md"))
    `F1` is [F1](documents.md#f1): [001 §1](documents.md#001-1)
    """

    def links(words):
        for part, key in pieces(words):
            title = f' "{meaning(key)}"' if key and titles else ""
            yield f"[{part}]({page}#{anchor(key)}{title})" if key else part

    parts, done = [], 0
    for match in _NO_WORDS.finditer(text):
        parts += [*links(text[done : match.start()]), match[0]]
        done = match.end()
    return "".join([*parts, *links(text[done:])])


def marked(text):
    """HTML of words whose citations say what they name when a pointer rests on them.

    Examples
    --------
    >>> print(marked("F3: a < b"))
    <abbr title='F3: ReLU'>F3</abbr>: a &lt; b
    """
    return "".join(
        f"<abbr title='{html.escape(meaning(key))}'>{html.escape(words)}</abbr>" if key else html.escape(words)
        for words, key in pieces(text)
    )
