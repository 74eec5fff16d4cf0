"""Data sets and the DataLoader: what a batch holds, that threads change nothing, and that none is left behind."""

import threading

import numpy as np
import pytest

import nnscratch as ns
from nnscratch.data import DataLoader, Dataset, IterableDataset, RandomShift, Subset, TensorDataset, random_split

WORKERS = (0, 1, 3)


class Noisy(Dataset):
    """Samples with random numbers of their own, an augmentation's among them."""

    def __init__(self, samples=20):
        self.samples = samples
        self.shift = RandomShift(1)
        self.threads = set()

    def __len__(self):
        return self.samples

    def __getitem__(self, index):
        self.threads.add(threading.current_thread().name)
        image = self.shift(np.full((1, 1, 3, 3), index, np.float32))[0]
        return image + ns.data.generator().random(dtype=np.float32), index


class Numbers(IterableDataset):
    """Numbers with noise, one after another."""

    def __init__(self, samples=7):
        self.samples = samples

    def __iter__(self):
        for i in range(self.samples):
            yield i + ns.data.generator().random(dtype=np.float32), i


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("DataLoader")]


def passes(make, count=2):
    """The bytes of all batches of some passes, each beginning from one seed."""
    ns.manual_seed(3)
    loader = make()
    found = [[tuple(a.tobytes() for a in batch) for batch in loader] for _ in range(count)]
    return found, ns.backend.cpu.rng.random()


@pytest.mark.parametrize("dataset", [Noisy, Numbers, lambda: Subset(Noisy(), range(3, 18))])
@pytest.mark.parametrize("generator", [None, 5])
def test_threads_change_neither_order_nor_random_numbers(dataset, generator):
    shuffle = dataset is not Numbers
    runs = [passes(lambda w=w: DataLoader(dataset(), 4, shuffle, num_workers=w, generator=generator)) for w in WORKERS]
    assert runs[0] == runs[1] == runs[2]
    first, second = runs[0][0]
    assert first != second  # each pass has numbers of its own
    assert threads() == []


def test_threads_do_make_the_batches():
    dataset = Noisy(40)
    list(DataLoader(dataset, 2, num_workers=2))
    assert dataset.threads
    assert all(name.startswith("DataLoader") for name in dataset.threads)


def test_two_threads_work_at_once():
    meet = threading.Barrier(2, timeout=20)

    class Meeting(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            meet.wait()  # alone, a thread would wait for good
            return index

    assert [b.tolist() for b in DataLoader(Meeting(), 1, num_workers=2)] == [[0], [1], [2], [3]]


@pytest.mark.parametrize("workers", WORKERS)
def test_an_error_arrives_in_the_loop_in_its_turn(workers):
    class Broken(Dataset):
        def __len__(self):
            return 10

        def __getitem__(self, index):
            if index == 4:
                raise KeyError("the fifth is broken")
            return index

    seen = []
    batches = iter(DataLoader(Broken(), 2, num_workers=workers))
    with pytest.raises(KeyError, match="the fifth is broken"):
        seen.extend(batch.tolist() for batch in batches)
    assert seen == [[0, 1], [2, 3]]
    assert threads() == []


def test_leaving_the_loop_early_leaves_no_thread_behind():
    for number, _ in enumerate(DataLoader(Noisy(200), 2, num_workers=3)):
        if number == 2:
            assert threads()
            break
    assert threads() == []
    coming = iter(DataLoader(Numbers(100), 2, num_workers=2))
    next(coming)
    del coming
    assert threads() == []


def test_batches_are_made_only_so_far_ahead():
    dataset = Noisy(100)
    made = []
    loader = DataLoader(dataset, 1, num_workers=2, prefetch_factor=3, collate_fn=lambda s: made.append(s) or s)
    coming = iter(loader)
    next(coming)
    assert len(made) <= 6
    coming.close()


def test_arrays_are_taken_as_a_whole():
    x, y = np.arange(10.0), np.arange(10)

    class Counting(TensorDataset):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    asked: list = []
    for batch in DataLoader(Counting(x, y), 4):
        np.testing.assert_array_equal(batch[0], batch[1])
    assert asked == [slice(0, 4), slice(4, 8), slice(8, 12)]
    assert np.shares_memory(next(iter(DataLoader(TensorDataset(x), 4)))[0], x)
    ns.manual_seed(0)
    state = ns.backend.cpu.rng.bit_generator.state
    list(DataLoader(TensorDataset(x), 4))
    assert ns.backend.cpu.rng.bit_generator.state == state  # without shuffling nothing is drawn


def test_a_shuffled_pass_has_each_sample_once_and_is_another_each_time():
    loader = DataLoader(TensorDataset(np.arange(50)), 8, shuffle=True, generator=1)
    one, two = (np.concatenate([b for (b,) in loader]) for _ in range(2))
    np.testing.assert_array_equal(np.sort(one), np.arange(50))
    assert (one != two).any()
    again = DataLoader(TensorDataset(np.arange(50)), 8, shuffle=True, generator=1)
    np.testing.assert_array_equal(np.concatenate([b for (b,) in again]), one)


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [3, 3, 1]), (True, [3, 3])])
@pytest.mark.parametrize("make", [lambda: list(range(7)), lambda: Numbers(7), lambda: TensorDataset(np.arange(7))])
def test_the_last_batch(make, drop_last, sizes):
    loader = DataLoader(make(), 3, drop_last=drop_last)
    assert [len(b[0] if isinstance(b, tuple) else b) for b in loader] == sizes
    if not isinstance(loader.dataset, IterableDataset):
        assert len(loader) == len(sizes)


def test_samples_of_several_parts_and_of_ones_own_collation():
    samples = [(np.ones(2) * i, i, 0.5) for i in range(3)]
    x, y, z = next(iter(DataLoader(samples, 3)))
    assert (x.shape, x.dtype, y.dtype, z.dtype) == ((3, 2), np.float64, np.int64, np.float32)
    words = ["a", "bcd"]
    padded = DataLoader(words, 2, collate_fn=lambda s: np.array([len(word) for word in s]))
    np.testing.assert_array_equal(next(iter(padded)), [1, 3])


def test_random_split_divides_without_overlap():
    dataset = TensorDataset(np.arange(11))
    for lengths, sizes in (([6, 5], [6, 5]), ([0.5, 0.5], [6, 5]), ([0.7, 0.2, 0.1], [8, 2, 1])):
        parts = random_split(dataset, lengths, generator=0)
        assert [len(part) for part in parts] == sizes
        np.testing.assert_array_equal(np.sort(np.concatenate([p.batch(slice(None))[0] for p in parts])), np.arange(11))
    same = [random_split(dataset, [6, 5], generator=4)[0].indices.tolist() for _ in range(2)]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: DataLoader(3), TypeError, "DataLoader: dataset is a int, expected a Dataset"),
        (lambda: DataLoader([1, 2], 0), ValueError, "DataLoader: batch_size is 0"),
        (lambda: DataLoader([1, 2], 3, drop_last=True), ValueError, "DataLoader: 2 samples make no whole batch of 3"),
        (lambda: DataLoader([], 3), ValueError, "DataLoader: 0 samples make no whole batch"),
        (lambda: DataLoader([1, 2], shuffle=1), TypeError, "DataLoader: shuffle is 1"),
        (lambda: DataLoader([1, 2], num_workers=-1), ValueError, "DataLoader: num_workers is -1"),
        (lambda: DataLoader([1, 2], collate_fn=3), TypeError, "DataLoader: collate_fn is 3"),
        (lambda: DataLoader([1, 2], generator=-1), ValueError, "DataLoader: seed is -1"),
        (lambda: DataLoader(Numbers(), shuffle=True), ValueError, "DataLoader: an IterableDataset has one order"),
        (lambda: len(DataLoader(Numbers())), TypeError, "DataLoader: the length of an IterableDataset is unknown"),
        (lambda: list(DataLoader(["a", "b"])), TypeError, "DataLoader: a sample is a str"),
        (lambda: list(DataLoader([[1.0], [1.0, 2.0]], 2)), ValueError, "DataLoader: samples of one batch have shapes"),
        (
            lambda: list(DataLoader([(1, 2), (1,)], 2)),
            ValueError,
            "DataLoader: samples of one batch have 1 and 2 parts",
        ),
        (lambda: TensorDataset(), TypeError, "TensorDataset: got no arrays"),
        (lambda: TensorDataset([1, 2], [1]), ValueError, "TensorDataset: the arrays have"),
        (lambda: Subset([1, 2], [2]), ValueError, "Subset: indices go beyond the data set's 2 samples"),
        (lambda: Subset([1, 2], [0.5]), TypeError, "Subset: indices is list"),
        (lambda: random_split([1, 2], [1, 2]), ValueError, "random_split: the lengths .* do not make the 2 samples"),
        (lambda: random_split([1, 2], [0.5, 0.2]), ValueError, "random_split: the lengths"),
        (lambda: len(Dataset()), NotImplementedError, "Dataset: has no length"),
        (lambda: Dataset()[0], NotImplementedError, "Dataset: has no samples"),
        (lambda: iter(IterableDataset()), NotImplementedError, "IterableDataset: has no samples"),
    ],
)
def test_what_does_not_fit_is_refused(call, kind, message):
    with pytest.raises(kind, match=f"^{message}") as caught:
        call()
    assert "\n" not in str(caught.value)
