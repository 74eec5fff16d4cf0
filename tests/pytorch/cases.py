"""Losses, optimisers, schedules and the like computed by nnscratch or PyTorch, whichever `Library` says: one table for both.

``python tests/pytorch/cases.py`` in an environment that has PyTorch writes values.json beside this file, which the tests compare with.
"""

import json
from pathlib import Path

VALUES = Path(__file__).with_name("values.json")


class Library:
    """What the cases call: modules under PyTorch's names, and what differs between the two."""

    def __init__(self, root, nn, functional, optim, tensor, adam):
        self.root, self.nn, self.F, self.optim, self.tensor, self.adam = root, nn, functional, optim, tensor, adam


def of_nnscratch():
    import numpy as np

    import nnscratch as ns

    def tensor(values, grad=False):
        array = np.array(values)
        return ns.tensor(array, requires_grad=True) if grad else ns.tensor(array)

    return Library(ns, ns.nn, ns.functional, ns.optim, tensor, {"bias_correction": True})


def of_pytorch():
    import torch

    def tensor(values, grad=False):
        made = torch.tensor(values)
        return made.double().requires_grad_(grad) if made.is_floating_point() else made

    torch.set_default_dtype(torch.float64)
    return Library(torch, torch.nn, torch.nn.functional, torch.optim, tensor, {})


def flat(tensor):
    """A tensor's values as a list of floats."""
    return tensor.detach().reshape(-1).tolist()


# Losses: their values and gradients

LOGITS = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.5], [-2.0, 0.125, 0.75], [0.0, 3.0, -1.0]]
OTHERS = [[0.25, 1.0, -0.5], [-1.5, 0.5, 1.0], [0.75, -0.25, 2.0], [1.0, 2.0, 0.5]]
THIRDS = [[1.0, -0.5, 0.5], [0.5, 1.5, -1.0], [-0.5, 0.25, 1.0], [2.0, -1.0, 0.0]]
ROWS = [[0.2, 0.3, 0.5], [0.1, 0.9, 0.0], [0.25, 0.25, 0.5], [0.6, 0.2, 0.2]]
LABELS = [2, 0, 1, 1]
SOME = [2, -100, 1, 1]
WEIGHT = [0.5, 2.0, 1.5]
SIDES = [1, -1, -1, 1]


def loss(make, *inputs, before=None, call=None):
    """The value of a loss, reduced to a number by fixed factors, and its gradient by the first input."""

    def run(lib):
        x = lib.tensor(inputs[0], True)
        seen = x if before is None else before(lib, x)
        others = [lib.tensor(values) for values in inputs[1:]]
        value = make(lib)(seen, *others)
        values = flat(value)
        total = value.reshape(-1)
        (total * lib.tensor([1.0 + 0.25 * i for i in range(len(values))])).sum().backward()
        return values + flat(x.grad)

    return run


def log_softmax(lib, x):
    return lib.F.log_softmax(x, 1)


def sigmoid(lib, x):
    return lib.nn.Sigmoid()(x)


IMAGES = [[[[0.5, -1.0], [2.0, 0.25]], [[1.0, 0.0], [-0.5, 1.5]], [[0.75, 1.25], [-1.0, 0.5]]]]  # (1, 3, 2, 2)
PIXELS = [[[0, 2], [1, 1]]]
SEQUENCE = [[[1.0, 3.0, -2.0]]]
REDUCTIONS = ("mean", "sum", "none")

CASES = {}
for r in REDUCTIONS:
    CASES |= {
        f"MSELoss {r}": loss(lambda lib, r=r: lib.nn.MSELoss(reduction=r), LOGITS, OTHERS),
        f"L1Loss {r}": loss(lambda lib, r=r: lib.nn.L1Loss(reduction=r), LOGITS, OTHERS),
        f"SmoothL1Loss {r}": loss(lambda lib, r=r: lib.nn.SmoothL1Loss(reduction=r, beta=0.75), LOGITS, OTHERS),
        f"HuberLoss {r}": loss(lambda lib, r=r: lib.nn.HuberLoss(reduction=r, delta=0.75), LOGITS, OTHERS),
        f"BCELoss {r}": loss(lambda lib, r=r: lib.nn.BCELoss(reduction=r), LOGITS, ROWS, before=sigmoid),
        f"BCEWithLogitsLoss {r}": loss(lambda lib, r=r: lib.nn.BCEWithLogitsLoss(reduction=r), LOGITS, ROWS),
        f"CrossEntropyLoss {r}": loss(lambda lib, r=r: lib.nn.CrossEntropyLoss(reduction=r), LOGITS, LABELS),
        f"CrossEntropyLoss of rows {r}": loss(lambda lib, r=r: lib.nn.CrossEntropyLoss(reduction=r), LOGITS, ROWS),
        f"CrossEntropyLoss of all settings {r}": loss(
            lambda lib, r=r: lib.nn.CrossEntropyLoss(lib.tensor(WEIGHT), reduction=r, label_smoothing=0.1), LOGITS, SOME
        ),
        f"CrossEntropyLoss of images {r}": loss(lambda lib, r=r: lib.nn.CrossEntropyLoss(reduction=r), IMAGES, PIXELS),
        f"NLLLoss {r}": loss(
            lambda lib, r=r: lib.nn.NLLLoss(lib.tensor(WEIGHT), reduction=r), LOGITS, SOME, before=log_softmax
        ),
        f"KLDivLoss {r}": loss(lambda lib, r=r: lib.nn.KLDivLoss(reduction=r), LOGITS, ROWS, before=log_softmax),
        f"CosineEmbeddingLoss {r}": loss(
            lambda lib, r=r: lib.nn.CosineEmbeddingLoss(0.1, reduction=r), LOGITS, OTHERS, SIDES
        ),
        f"TripletMarginLoss {r}": loss(lambda lib, r=r: lib.nn.TripletMarginLoss(reduction=r), LOGITS, OTHERS, THIRDS),
    }
CASES |= {
    "SmoothL1Loss of beta 0": loss(lambda lib: lib.nn.SmoothL1Loss(beta=0.0), LOGITS, OTHERS),
    "BCELoss weighed": loss(lambda lib: lib.nn.BCELoss(lib.tensor(WEIGHT)), LOGITS, ROWS, before=sigmoid),
    "BCEWithLogitsLoss weighed": loss(lambda lib: lib.nn.BCEWithLogitsLoss(lib.tensor(WEIGHT)), LOGITS, ROWS),
    "BCEWithLogitsLoss of all settings": loss(
        lambda lib: lib.nn.BCEWithLogitsLoss(
            lib.tensor(WEIGHT), reduction="sum", pos_weight=lib.tensor([2.0, 0.5, 3.0])
        ),
        LOGITS,
        ROWS,
    ),
    "CrossEntropyLoss of one sample": loss(lambda lib: lib.nn.CrossEntropyLoss(), LOGITS[0], 2),
    "CrossEntropyLoss of one sample unreduced": loss(
        lambda lib: lib.nn.CrossEntropyLoss(reduction="none"), LOGITS[0], 2
    ),
    "KLDivLoss batchmean": loss(lambda lib: lib.nn.KLDivLoss(reduction="batchmean"), LOGITS, ROWS, before=log_softmax),
    "KLDivLoss of logarithms": loss(
        lambda lib: lib.nn.KLDivLoss(reduction="sum", log_target=True), LOGITS, OTHERS, before=log_softmax
    ),
    "TripletMarginLoss of all settings": loss(
        lambda lib: lib.nn.TripletMarginLoss(2.0, p=3.0, eps=1e-3, swap=True, reduction="none"), LOGITS, OTHERS, THIRDS
    ),
    "cosine_similarity": loss(lambda lib: lib.F.cosine_similarity, LOGITS, OTHERS),
    "pairwise_distance": loss(lambda lib: lib.F.pairwise_distance, LOGITS, OTHERS),
    "Upsample nearest": loss(lambda lib: lib.nn.Upsample(scale_factor=2), IMAGES),
    "Upsample to a size": loss(lambda lib: lib.nn.Upsample(size=(5, 3)), IMAGES),
    "Upsample by a part": loss(lambda lib: lib.nn.Upsample(scale_factor=1.7), SEQUENCE),
    "Upsample smaller": loss(lambda lib: lib.nn.Upsample(size=2), SEQUENCE),
    "Upsample linear": loss(lambda lib: lib.nn.Upsample(size=7, mode="linear"), SEQUENCE),
    "Upsample linear by a part": loss(lambda lib: lib.nn.Upsample(scale_factor=2.3, mode="linear"), SEQUENCE),
    "Upsample bilinear": loss(lambda lib: lib.nn.Upsample(scale_factor=(2, 3), mode="bilinear"), IMAGES),
    "Upsample corners": loss(lambda lib: lib.nn.Upsample(size=(4, 5), mode="bilinear", align_corners=True), IMAGES),
    "Upsample to one": loss(lambda lib: lib.nn.Upsample(size=1, mode="bilinear", align_corners=True), IMAGES),
}


# Optimisers: parameters after some steps, a schedule's rates

SLOPES = [
    [1.0, -2.0, 0.5],
    [0.5, 0.25, -1.0],
    [0.0, 3.0, 0.125],
    [-1.0, 1.0, 2.0],
    [0.75, -0.5, 0.0],
    [2.0, 0.1, -0.3],
    [0.2, 0.2, 0.2],
]


def steps(make):
    """The parameters after steps whose gradients depend on them, a second group added midway."""

    def run(lib):
        a, b = lib.tensor([1.0, -2.0, 3.0], True), lib.tensor([0.5, 0.25, -0.125], True)
        optimizer = make(lib, [a])
        for i, slope in enumerate(SLOPES):
            if i == 3:
                optimizer.add_param_group({"params": [b], "lr": 0.02})
            optimizer.zero_grad()
            sum((p * lib.tensor(slope) + 0.25 * p * p).sum() for p in (a, b)).backward()
            optimizer.step()
        return flat(a) + flat(b)

    return run


CASES |= {
    "SGD": steps(lambda lib, p: lib.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01)),
    "SGD dampened": steps(lambda lib, p: lib.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01)),
    "SGD Nesterov": steps(lambda lib, p: lib.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    "Adam": steps(lambda lib, p: lib.optim.Adam(p, lr=0.1, weight_decay=0.01, **lib.adam)),
    "Adam amsgrad": steps(lambda lib, p: lib.optim.Adam(p, lr=0.1, weight_decay=0.01, amsgrad=True, **lib.adam)),
    "AdamW": steps(lambda lib, p: lib.optim.AdamW(p, lr=0.1, betas=(0.8, 0.9), **lib.adam)),
    "AdamW amsgrad": steps(lambda lib, p: lib.optim.AdamW(p, lr=0.1, amsgrad=True, **lib.adam)),
    "NAdam": steps(lambda lib, p: lib.optim.NAdam(p, lr=0.1, weight_decay=0.01)),
    "NAdam decoupled": steps(
        lambda lib, p: lib.optim.NAdam(p, lr=0.1, weight_decay=0.01, momentum_decay=0.1, decoupled_weight_decay=True)
    ),
    "RMSprop": steps(lambda lib, p: lib.optim.RMSprop(p, lr=0.1, weight_decay=0.01)),
    "RMSprop centred": steps(lambda lib, p: lib.optim.RMSprop(p, lr=0.1, alpha=0.9, centered=True, momentum=0.5)),
    "Adagrad": steps(lambda lib, p: lib.optim.Adagrad(p, lr=0.5)),
    "Adagrad of all settings": steps(
        lambda lib, p: lib.optim.Adagrad(
            p, lr=0.5, lr_decay=0.1, weight_decay=0.01, initial_accumulator_value=0.2, eps=1e-6
        )
    ),
}


def rates(make, count=24, shown=None):
    """The rates of both groups, and the momentum, at each step."""

    def run(lib):
        a, b = lib.tensor([1.0], True), lib.tensor([1.0], True)
        optimizer = lib.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.02}], lr=0.5, momentum=0.9)
        schedule = make(lib.optim.lr_scheduler, optimizer)
        found = []
        for i in range(count):
            found += [group["lr"] for group in optimizer.param_groups]
            found += [group["momentum"] for group in optimizer.param_groups[:1]]
            optimizer.step()
            schedule.step(*(() if shown is None else (shown[i % len(shown)],)))
        return found + list(schedule.get_last_lr())

    return run


def sequential(s, optimizer):
    warm = s.LinearLR(optimizer, start_factor=0.1, total_iters=4)
    down = s.CosineAnnealingLR(optimizer, T_max=9, eta_min=0.001)
    return s.SequentialLR(optimizer, [warm, down, s.ExponentialLR(optimizer, 0.9)], milestones=[4, 13])


LOSSES = [3.0, 2.5, 2.5, 2.6, 2.4999, 2.4, 2.4, 2.4, 2.45, 2.5, 2.3, 2.3]
CASES |= {
    "StepLR": rates(lambda s, o: s.StepLR(o, 5, 0.5)),
    "MultiStepLR": rates(lambda s, o: s.MultiStepLR(o, [3, 8, 8, 15], gamma=0.5)),
    "ExponentialLR": rates(lambda s, o: s.ExponentialLR(o, 0.9)),
    "CosineAnnealingLR": rates(lambda s, o: s.CosineAnnealingLR(o, T_max=7, eta_min=0.001)),
    "CosineAnnealingWarmRestarts": rates(lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=5)),
    "CosineAnnealingWarmRestarts growing": rates(
        lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.001)
    ),
    "LinearLR": rates(lambda s, o: s.LinearLR(o)),
    "LinearLR down": rates(lambda s, o: s.LinearLR(o, 1.0, 0.25, total_iters=9)),
    "LambdaLR": rates(lambda s, o: s.LambdaLR(o, lambda step: 0.95**step)),
    "LambdaLR by group": rates(lambda s, o: s.LambdaLR(o, [lambda step: 0.95**step, lambda step: 1 / (1 + step)])),
    "OneCycleLR": rates(lambda s, o: s.OneCycleLR(o, max_lr=[0.5, 0.1], total_steps=24)),
    "OneCycleLR of three": rates(lambda s, o: s.OneCycleLR(o, 0.3, epochs=4, steps_per_epoch=6, three_phase=True)),
    "OneCycleLR linear": rates(
        lambda s, o: s.OneCycleLR(
            o, 0.3, 30, pct_start=0.2, anneal_strategy="linear", cycle_momentum=False, div_factor=10
        )
    ),
    "SequentialLR": rates(sequential),
    "ReduceLROnPlateau": rates(lambda s, o: s.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=1), shown=LOSSES),
    "ReduceLROnPlateau of the greatest": rates(
        lambda s, o: s.ReduceLROnPlateau(
            o, "max", 0.5, patience=1, threshold=0.3, threshold_mode="abs", min_lr=[0.1, 0.01]
        ),
        shown=LOSSES,
    ),
}


def main():
    lib = of_pytorch()
    found = {name: run(lib) for name, run in CASES.items()}
    lines = [f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in found.items()]
    VALUES.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(found)} cases, by PyTorch {lib.root.__version__}")


if __name__ == "__main__":
    main()
