"""Augmentation of images: known values, exactness, and what the random ones draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch.data import (
    Compose,
    RandomCrop,
    RandomFlip,
    RandomRotate,
    RandomScale,
    RandomShift,
    crop,
    flip,
    rotate,
    scale,
    shift,
)


@pytest.fixture(params=[np.float32, np.float64])
def images(request):
    images = np.random.default_rng(0).random((5, 2, 7, 7)).astype(request.param)
    images.flags.writeable = False
    return images


def bilinear(image, row, column):
    """Read one image (H, W) at one position, written out apart from the code under test."""
    total = 0.0
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            total += max(0, 1 - abs(row - r)) * max(0, 1 - abs(column - c)) * image[r, c]
    return total


def test_manual_seed_decides_what_has_no_seed_of_its_own(images):
    for transformation in (RandomShift(2), RandomRotate(20), RandomScale(0.8, 1.2), RandomCrop(5, 5), RandomFlip()):
        drawn = []
        for seed in (7, 7, 8):
            ns.manual_seed(seed)
            drawn.append(np.concatenate([transformation(images) for _ in range(5)]))
        np.testing.assert_array_equal(drawn[0], drawn[1])
        assert not np.array_equal(drawn[0], drawn[2])


def test_identity_parameters_return_exactly_the_input(images):
    for result in (
        shift(images),
        shift(images, np.zeros(5), np.zeros(5)),
        rotate(images),
        rotate(images, 360),
        scale(images),
        crop(images, 0, 0, 7, 7),
        flip(flip(images)),
        flip(flip(images, -2), 2),
        RandomShift(0)(images),
        RandomRotate(0)(images),
        RandomScale(1, 1)(images),
        RandomCrop(7, 7)(images),
        RandomFlip(0)(images),
        Compose([])(images),
    ):
        np.testing.assert_array_equal(result, images)
        assert result.dtype == images.dtype


@pytest.mark.parametrize("turns", [-3, -2, -1, 1, 2, 3, 4])
@pytest.mark.parametrize("size", [6, 7])
def test_quarter_turns_are_rot90(turns, size):
    images = np.random.default_rng(1).random((3, 2, size, size)).astype(np.float32)
    np.testing.assert_array_equal(rotate(images, 90 * turns), np.rot90(images, turns, axes=(2, 3)))


@pytest.mark.parametrize("down", [-9, -7, -2, 0, 3])
@pytest.mark.parametrize("right", [-1, 0, 6, 7])
def test_whole_shifts_are_slices_over_zeros(images, down, right):
    big = np.pad(images, ((0, 0), (0, 0), (10, 10), (10, 10)))
    expected = big[:, :, 10 - down : 17 - down, 10 - right : 17 - right]
    np.testing.assert_array_equal(shift(images, down, right), expected)


def test_each_image_has_its_own_parameters(images):
    down, angle, factor = np.arange(5) - 2, np.arange(5) * 10.0, 1 + np.arange(5) / 4
    top = [0, 1, 2, 3, 0]
    for whole, single in (
        (shift(images, down, -down), lambda i: shift(images[i : i + 1], down[i], -down[i])),
        (rotate(images, angle), lambda i: rotate(images[i : i + 1], angle[i])),
        (scale(images, factor), lambda i: scale(images[i : i + 1], factor[i])),
        (crop(images, top, 1, 4, 3), lambda i: images[i : i + 1, :, top[i] : top[i] + 4, 1:4]),
    ):
        for i in range(5):
            np.testing.assert_array_equal(whole[i : i + 1], single(i))


@settings(max_examples=30, deadline=None)
@given(
    angle=st.floats(-400, 400),
    factor=st.floats(0.3, 3),
    down=st.floats(-4, 4),
    right=st.floats(-4, 4),
)
def test_agrees_with_pixel_by_pixel_reading(angle, factor, down, right):
    image = np.random.default_rng(2).random((4, 5))
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    shifted, turned, scaled = np.empty((3, 4, 5))
    for r in range(4):
        for c in range(5):
            y, x = r - 1.5, c - 2
            shifted[r, c] = bilinear(image, r - down, c - right)
            # Counter-clockwise with rows downwards: the value at (y, x) comes from where it was before.
            turned[r, c] = bilinear(image, 1.5 + y * cos + x * sin, 2 + x * cos - y * sin)
            scaled[r, c] = bilinear(image, 1.5 + y / factor, 2 + x / factor)
    batch = image[None, None]
    np.testing.assert_allclose(shift(batch, down, right)[0, 0], shifted, atol=1e-8)
    np.testing.assert_allclose(rotate(batch, angle)[0, 0], turned, atol=1e-8)
    np.testing.assert_allclose(scale(batch, factor)[0, 0], scaled, atol=1e-8)


def test_flips_by_hand():
    images = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    np.testing.assert_array_equal(flip(images)[0, 0], [[2, 1], [4, 3]])
    np.testing.assert_array_equal(flip(images, 3)[0, 0], [[2, 1], [4, 3]])
    np.testing.assert_array_equal(flip(images, -2)[0, 0], [[3, 4], [1, 2]])


RANDOM = [
    lambda seed: RandomShift(2, seed=seed),
    lambda seed: RandomRotate(30, seed=seed),
    lambda seed: RandomScale(0.5, 2, seed=seed),
    lambda seed: RandomCrop(5, 4, padding=1, seed=seed),
    lambda seed: RandomFlip(seed=seed),
]


@pytest.mark.parametrize("make", RANDOM)
def test_random_ones_follow_the_seed_and_differ_by_image(make):
    images = np.repeat(np.random.default_rng(3).random((1, 1, 7, 7)).astype(np.float32), 20, axis=0)
    transform, same = make(5), make(np.random.default_rng(5))
    first, second = transform(images), transform(images)
    np.testing.assert_array_equal(first, same(images))
    np.testing.assert_array_equal(second, same(images))
    assert not np.array_equal(first, second) and not np.array_equal(first, make(6)(images))
    assert len({image.tobytes() for image in first}) > 1
    assert first.dtype == np.float32


def test_random_ones_stay_in_range():
    dot = np.zeros((500, 1, 9, 9))
    dot[:, :, 4, 4] = 1
    moved = RandomShift(2, whole=True, seed=0)(dot)
    assert (moved.sum(axis=(1, 2, 3)) == 1).all()
    rows, columns = np.nonzero(moved)[2:]
    assert set(rows.tolist()) == set(columns.tolist()) == {2, 3, 4, 5, 6}
    assert not RandomShift(2, seed=0)(dot)[:, :, [0, 1, 7, 8]].any()

    ramp = np.broadcast_to(np.arange(9.0)[:, None] * 10 + np.arange(9.0), (500, 1, 9, 9))
    corners = RandomCrop(7, 8, seed=0)(ramp)[:, 0, 0, 0]
    assert set(corners.tolist()) == {0.0, 1.0, 10.0, 11.0, 20.0, 21.0}

    # 500 fair draws: 250 flips with a deviation of 11.2.
    flipped = (RandomFlip(seed=0)(ramp)[:, 0, 0, 0] == 8).sum()
    assert abs(flipped - 250) < 4 * 11.2
    np.testing.assert_array_equal(RandomFlip(1, axis=-2, seed=0)(ramp), ramp[:, :, ::-1])


def test_compose_goes_from_first_to_last(images):
    both = Compose([lambda x: shift(x, down=1), lambda x: rotate(x, 90)])
    np.testing.assert_array_equal(both(images), rotate(shift(images, down=1), 90))


IMAGES = np.ones((2, 1, 4, 4), np.float32)
NAN = np.full((1, 1, 2, 2), np.nan)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: shift(IMAGES[0]), ValueError, ["shift: images", "(1, 4, 4)", "(N, C, H, W)"]),
        (lambda: rotate(np.ones((2, 1, 4, 4), np.uint8)), TypeError, ["rotate: images", "uint8"]),
        (lambda: scale(NAN), ValueError, ["scale: images", "nan", "(0, 0, 0, 0)"]),
        (lambda: flip(np.ones((0, 1, 4, 4))), ValueError, ["flip: images", "(0, 1, 4, 4)"]),
        (lambda: shift(IMAGES, down=np.zeros(3)), ValueError, ["shift: down", "(3,)", "(2,)"]),
        (lambda: shift(IMAGES, right=np.inf), ValueError, ["shift: right", "inf"]),
        (lambda: rotate(IMAGES, np.nan), ValueError, ["rotate: degrees", "nan"]),
        (lambda: rotate(IMAGES, "ninety"), TypeError, ["rotate: degrees", "str"]),
        (lambda: scale(IMAGES, 0), ValueError, ["scale: factor", "0"]),
        (lambda: scale(IMAGES, [1, -1]), ValueError, ["scale: factor", "-1"]),
        (lambda: crop(IMAGES, 0, 0, 5, 2), ValueError, ["crop", "5 x 2", "4 x 4"]),
        (lambda: crop(IMAGES, -1, 0, 2, 2), ValueError, ["crop", "top -1"]),
        (lambda: crop(IMAGES, 0.5, 0, 2, 2), TypeError, ["crop", "fraction"]),
        (lambda: crop(IMAGES, 0, 0, 0, 2), ValueError, ["crop: height", "0"]),
        (lambda: flip(IMAGES, axis=1), ValueError, ["flip: axis", "1"]),
        (lambda: RandomFlip(p=1.5), ValueError, ["RandomFlip: p", "1.5"]),
        (lambda: RandomFlip(axis=0), ValueError, ["RandomFlip: axis", "0"]),
        (lambda: RandomRotate("far"), TypeError, ["RandomRotate: degrees", "'far'"]),
        (lambda: RandomShift(-1), ValueError, ["RandomShift: pixels", "-1"]),
        (lambda: RandomScale(2, 1), ValueError, ["RandomScale: high", "1"]),
        (lambda: RandomScale(0, 1), ValueError, ["RandomScale: low", "0"]),
        (lambda: RandomCrop(0, 3), ValueError, ["RandomCrop: height", "0"]),
        (lambda: RandomCrop(9, 3, padding=2)(IMAGES), ValueError, ["RandomCrop", "9 x 3", "4 x 4"]),
        (lambda: RandomShift(1, seed="x"), TypeError, ["RandomShift: seed", "'x'"]),
        (lambda: RandomFlip()(IMAGES[0, 0]), ValueError, ["RandomFlip: images", "(4, 4)"]),
        (lambda: Compose([flip, 3]), TypeError, ["Compose", "3"]),
        (lambda: Compose(flip), TypeError, ["Compose", "list"]),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words) and "\n" not in message, message
    np.testing.assert_array_equal(IMAGES, 1)
