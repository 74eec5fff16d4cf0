"""Learning-rate schedules: values by hand, resuming, and mistakes."""

import json
import math

import pytest

import nnscratch as ns
from nnscratch.optim import SGD
from nnscratch.optim import lr_scheduler as schedules


def optimizer(*rates):
    groups = [{"params": [ns.tensor([1.0], requires_grad=True)], "lr": r} for r in rates or (1.0,)]
    return SGD(groups, lr=1.0)


def rates(make, steps, *start):
    """The rates of the first group at steps 0, 1, ..."""
    target = optimizer(*start)
    schedule = make(target)
    seen = []
    for _ in range(steps):
        assert schedule.last_lr == [group["lr"] for group in target.param_groups]
        seen.append(target.lr)
        schedule.step()
    return seen


def test_step():
    assert rates(lambda o: schedules.StepLR(o, 2, 0.5), 6) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert rates(lambda o: schedules.StepLR(o, 3), 4, 2.0) == pytest.approx([2, 2, 2, 0.2])


def test_exponential():
    assert rates(lambda o: schedules.ExponentialLR(o, 0.5), 4, 8.0) == [8, 4, 2, 1]


def test_cosine():
    half = math.sqrt(0.5)
    expected = [1, (1 + half) / 2, 0.5, (1 - half) / 2, 0, 0, 0]
    assert rates(lambda o: schedules.CosineLR(o, 4), 7) == pytest.approx(expected, abs=1e-15)
    assert rates(lambda o: schedules.CosineLR(o, 2, minimum=0.5), 4, 2.5) == pytest.approx([2.5, 1.5, 0.5, 0.5])


def test_warm_up():
    assert rates(lambda o: schedules.LinearWarmup(o, 4), 6) == [0, 0.25, 0.5, 0.75, 1, 1]
    assert rates(lambda o: schedules.LinearWarmup(o, 2, start=0.5), 4, 4.0) == [2, 3, 4, 4]
    then = rates(lambda o: schedules.LinearWarmup(o, 2, schedules.StepLR(o, 1, 0.5)), 6)
    assert then == [0, 0.5, 1, 0.5, 0.25, 0.125]


def test_warm_ups_in_warm_ups_keep_the_full_rate():
    def make(o):
        return schedules.LinearWarmup(o, 1, schedules.LinearWarmup(o, 2, schedules.ExponentialLR(o, 0.5)), start=0.5)

    assert rates(make, 6, 8.0) == [4, 0, 4, 8, 4, 2]


def test_every_group_has_its_own_base():
    target = optimizer(1.0, 0.1)
    schedule = schedules.ExponentialLR(target, 0.5)
    schedule.step()
    assert [group["lr"] for group in target.param_groups] == schedule.last_lr == [0.5, 0.05]


MAKERS = {
    "step": lambda o: schedules.StepLR(o, 3, 0.3),
    "exponential": lambda o: schedules.ExponentialLR(o, 0.97),
    "cosine": lambda o: schedules.CosineLR(o, 17, 0.01),
    "warm-up": lambda o: schedules.LinearWarmup(o, 7, schedules.CosineLR(o, 9)),
    "milestones": lambda o: schedules.MultiStepLR(o, [3, 9], 0.3),
    "annealing": lambda o: schedules.CosineAnnealingLR(o, 5, 0.01),
    "restarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 3, 2),
    "line": lambda o: schedules.LinearLR(o, total_iters=6),
    "function": lambda o: schedules.LambdaLR(o, lambda step: 0.9**step),
    "one cycle": lambda o: schedules.OneCycleLR(o, 0.5, 20),
    "sequence": lambda o: schedules.SequentialLR(o, [schedules.LinearLR(o), schedules.ExponentialLR(o, 0.9)], [6]),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("at", [0, 4, 11])
def test_a_resumed_schedule_goes_on_exactly(name, at):
    expected = rates(MAKERS[name], 20, 0.3)
    first = optimizer(0.3)
    schedule = MAKERS[name](first)
    for _ in range(at):
        schedule.step()
    state, optimizer_state = json.loads(json.dumps([schedule.state_dict(), first.state_dict()]))
    second = optimizer(0.9)
    second.load_state_dict(optimizer_state)
    resumed = MAKERS[name](second)  # takes a present rate, not the first one, for its base
    resumed.load_state_dict(state)
    seen = []
    for _ in range(at, 20):
        seen.append(second.lr)
        resumed.step()
    assert seen == expected[at:]


def test_a_schedule_in_a_sequence_begins_at_the_rate_before_any_schedule():
    for order in (1, -1):
        target = optimizer(0.5)
        made = [
            lambda o=target: schedules.LinearLR(o, 0.1, total_iters=2),
            lambda o=target: schedules.StepLR(o, 1, 0.5),
        ]
        up, down = [make() for make in made[::order]][::order]
        schedule = schedules.SequentialLR(target, [up, down], [2])
        seen = []
        for _ in range(4):
            seen.append(target.lr)
            schedule.step()
        assert seen == pytest.approx([0.05, 0.275, 0.5, 0.25])


def test_a_group_added_later_has_the_schedule_from_its_own_rate():
    target = optimizer(1.0)
    schedule = schedules.ExponentialLR(target, 0.5)
    schedule.step()
    target.add_param_group({"params": [ns.tensor([1.0], requires_grad=True)], "lr": 0.25})
    schedule.step()
    assert schedule.get_last_lr() == schedule.last_lr == [0.25, 0.0625]


def test_a_resumed_plateau_goes_on_exactly():
    values = [3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0]

    def make(target):
        return schedules.ReduceLROnPlateau(target, factor=0.5, patience=1, cooldown=1)

    whole = optimizer(1.0)
    schedule, seen = make(whole), []
    for value in values:
        schedule.step(value)
        seen.append(whole.lr)
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    for at in range(len(values)):
        first = optimizer(1.0)
        schedule = make(first)
        for value in values[:at]:
            schedule.step(value)
        state, rates_state = json.loads(json.dumps([schedule.state_dict(), first.state_dict()]))
        second = optimizer(1.0)
        second.load_state_dict(rates_state)
        schedule = make(second)
        schedule.load_state_dict(state)
        for value, rate in zip(values[at:], seen[at:], strict=True):
            schedule.step(value)
            assert second.lr == rate


def test_a_trainer_is_told_which_plateau_it_takes():
    model = ns.nn.Linear(1, 1)
    target = SGD(model.parameters(), lr=0.1)
    with pytest.raises(
        ValueError, match=r"Trainer: the scheduler ReduceLROnPlateau .* the callback training\.ReduceLROnPlateau"
    ):
        ns.Trainer(model, "mse", target, scheduler=schedules.ReduceLROnPlateau(target))


def wrong_state(**changes):
    schedule = schedules.ExponentialLR(optimizer(), 0.5)
    schedule.step()
    try:
        schedule.load_state_dict({k: v for k, v in {**schedule.state_dict(), **changes}.items() if v is not ...})
    finally:
        assert schedule.last_lr == [0.5]
        assert schedule.optimizer.lr == 0.5


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: schedules.StepLR(optimizer(), 0), ValueError, "StepLR: step_size is 0"),
    (lambda: schedules.StepLR(optimizer(), 2.5), TypeError, "step_size is 2.5"),
    (lambda: schedules.StepLR(optimizer(), 2, gamma=0), ValueError, "gamma is 0"),
    (lambda: schedules.StepLR(0.1, 2), TypeError, "StepLR: got 0.1, expected an optimiser"),
    (lambda: schedules.ExponentialLR(optimizer(), -1), ValueError, "gamma is -1"),
    (lambda: schedules.ExponentialLR(optimizer(), float("nan")), ValueError, "gamma is nan"),
    (lambda: schedules.ExponentialLR(None, 0.5), TypeError, "got None"),
    (lambda: schedules.CosineLR(optimizer(), 0), ValueError, "steps is 0"),
    (lambda: schedules.CosineLR(optimizer(), True), TypeError, "steps is True"),
    (lambda: schedules.CosineLR(optimizer(0.1), 5, minimum=0.5), ValueError, "minimum is 0.5, the optimiser's rate 0.1"),
    (lambda: schedules.CosineLR(optimizer(), 5, minimum=-1), ValueError, "minimum is -1"),
    (lambda: schedules.LinearWarmup(optimizer(), 3, start=2), ValueError, "start is 2"),
    (lambda: schedules.LinearWarmup(optimizer(), 3, then=0.1), TypeError, "then is 0.1"),
    (lambda: schedules.LinearWarmup(optimizer(), 3, schedules.CosineLR(optimizer(), 3)), TypeError, "the same optimiser"),
    (lambda: schedules.MultiStepLR(optimizer(), 3), TypeError, "milestones is 3"),
    (lambda: schedules.MultiStepLR(optimizer(), [-1]), ValueError, "a milestone is -1"),
    (lambda: schedules.LinearLR(optimizer(), 0.0), ValueError, "start_factor is 0.0"),
    (lambda: schedules.LambdaLR(optimizer(), 0.5), TypeError, "lr_lambda is 0.5"),
    (lambda: schedules.LambdaLR(optimizer(), [lambda s: 1, lambda s: 1]), TypeError, "for each of 1 groups"),
    (lambda: schedules.LambdaLR(optimizer(), lambda step: -1), ValueError, "SGD: lr is -1"),
    (lambda: schedules.OneCycleLR(optimizer(), 1.0), TypeError, "total_steps is None and epochs is None"),
    (lambda: schedules.OneCycleLR(optimizer(), [1.0, 2.0], 5), ValueError, "max_lr has 2 rates"),
    (lambda: schedules.OneCycleLR(optimizer(), 1.0, 5, anneal_strategy="sine"), ValueError, "anneal_strategy is 'sine'"),
    (lambda: [s.step() for s in [schedules.OneCycleLR(optimizer(), 1.0, 2)] for _ in range(3)], ValueError, "step 3 is after the last"),
    (lambda: schedules.SequentialLR(optimizer(), [], []), ValueError, "got 0 schedules and 0 milestones"),
    (lambda: schedules.SequentialLR(optimizer(), [schedules.LinearLR(optimizer())], []), TypeError, "for the same optimiser"),
    (lambda: schedules.ReduceLROnPlateau(optimizer(), "least"), ValueError, "mode is 'least', expected 'min' or 'max'"),
    (lambda: schedules.ReduceLROnPlateau(optimizer(), min_lr=[0, 0]), ValueError, "min_lr has 2 rates"),
    (lambda: wrong_state(scheduler="StepLR"), ValueError, "state is of 'StepLR'"),
    (lambda: wrong_state(scheduler=...), ValueError, "'no schedule'"),
    (lambda: wrong_state(step=-1), ValueError, "damaged"),
    (lambda: wrong_state(step=...), ValueError, "damaged"),
    (lambda: wrong_state(base=0.1), ValueError, "damaged"),
    (lambda: wrong_state(base=[0.1, 0.2]), ValueError, "for 2 groups, the optimiser has 1"),
    (lambda: schedules.ExponentialLR(optimizer(), 0.5).load_state_dict([]), TypeError, "expected a dict"),
])  # fmt: skip
def test_mistakes(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
