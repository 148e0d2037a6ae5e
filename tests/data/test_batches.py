"""Batches: every sample once per epoch, augmentation drawn per sample, no hidden state."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from falw_cli.config.settings import Recipe
from falw_cli.data.batches import (
    Mix,
    augment,
    batches_per_epoch,
    epoch,
    generator,
    normalise,
)
from falw_cli.data.device import Resident


def data(count: int, size: int = 8) -> Resident:
    pixels = torch.arange(count * size * size, dtype=torch.int64) % 251
    return Resident(pixels.to(torch.uint8).reshape(count, size, size, 1), torch.arange(count))


@given(st.integers(1, 80), st.integers(1, 20), st.integers(0, 80))
def test_an_epoch_visits_every_sample_once(count: int, batch_size: int, forget: int) -> None:
    forget = min(forget, count)
    batches = list(epoch(data(count), forget, Mix(batch_size), seed=3, number=0))
    assert len(batches) == batches_per_epoch(count, batch_size)
    sizes = {len(batch.sample) for batch in batches}
    assert max(sizes) - min(sizes) <= 1  # a small last batch would distort the BatchNorm statistics
    visited = torch.cat([batch.sample for batch in batches])
    assert sorted(visited.tolist()) == list(range(count))
    for batch in batches:
        assert (batch.sample[: batch.forget] < forget).all()
        assert (batch.sample[batch.forget :] >= forget).all()
        assert torch.equal(batch.labels, batch.sample)
        if count > 1 and batch_size > 1:
            assert len(batch.sample) > 1  # BatchNorm cannot train on one sample


def test_a_resumed_epoch_continues_where_it_stopped() -> None:
    whole = [b.sample for b in epoch(data(50), 5, Mix(8), seed=1, number=2)]
    rest = [b.sample for b in epoch(data(50), 5, Mix(8), seed=1, number=2, skip=3)]
    assert all(torch.equal(a, b) for a, b in zip(whole[3:], rest, strict=True))


def test_with_a_forget_share_an_epoch_is_one_pass_over_the_forget_set() -> None:
    """The retain set continues across epochs; no sample repeats before all have been used."""
    mix = Mix(10, forget_share=0.4)
    epochs = [list(epoch(data(40), 12, mix, seed=1, number=number)) for number in range(7)]
    for batches in epochs:
        assert len(batches) == mix.batches(40, 12) == 3
        mine = torch.cat([batch.sample[: batch.forget] for batch in batches])
        assert sorted(mine.tolist()) == list(range(12))
        assert {(batch.forget, len(batch.sample)) for batch in batches} == {(4, 10)}
    kept = torch.cat([b.sample[b.forget :] for batches in epochs for b in batches])
    assert sorted(kept[:28].tolist()) == sorted(kept[28:56].tolist()) == list(range(12, 40))
    resumed = list(epoch(data(40), 12, mix, seed=1, number=3, skip=2))
    assert torch.equal(resumed[0].sample, epochs[3][2].sample)


@pytest.mark.parametrize("forget", [0, 20])
def test_a_share_of_one_set_alone_is_that_set(forget: int) -> None:
    plain, shared = (list(epoch(data(20), forget, mix, 1, 0)) for mix in (Mix(8), Mix(8, 0.5)))
    assert all(torch.equal(a.sample, b.sample) for a, b in zip(plain, shared, strict=True))


def test_crop_and_flip_are_drawn_for_each_sample() -> None:
    images = data(64).pixels[:1].expand(64, 8, 8, 1)
    shown = augment(images, Recipe(crop=2, flip=True), generator(0, 0))
    assert shown.shape == images.shape
    assert len({image.numpy().tobytes() for image in shown}) > 20


def test_flip_alone_mirrors_or_leaves() -> None:
    images = data(32).pixels
    shown = augment(images, Recipe(crop=0, flip=True), generator(0, 0))
    mirrored = [torch.equal(a, b.flip(1)) for a, b in zip(shown, images, strict=True)]
    left = [torch.equal(a, b) for a, b in zip(shown, images, strict=True)]
    assert all(m != k for m, k in zip(mirrored, left, strict=True))
    assert 5 < sum(mirrored) < 27


def test_crop_is_a_shift_with_black_edges() -> None:
    image = torch.full((1, 4, 4, 1), 9, dtype=torch.uint8)
    sums = {
        int(augment(image, Recipe(crop=1, flip=False), generator(0, i)).sum()) for i in range(40)
    }
    assert sums == {9 * 16, 9 * 12, 9 * 9}


def test_without_augmentation_nothing_changes() -> None:
    images = data(3).pixels
    assert augment(images, Recipe(crop=0, flip=False), generator(0)) is images


def test_normalise_by_hand() -> None:
    pixels = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    shown = normalise(pixels, torch.tensor([0.5, 0.0]), torch.tensor([0.25, 0.5]))
    assert shown.flatten().tolist() == pytest.approx([-2.0, 2.0])
    assert shown.shape == (1, 2, 1, 1)


def test_generators_depend_only_on_seed_and_position() -> None:
    draw = [torch.rand(1, generator=generator(1, 2, place)).item() for place in (0, 0, 1)]
    assert draw[0] == draw[1] != draw[2]
