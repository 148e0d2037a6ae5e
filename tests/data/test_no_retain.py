"""Held-out samples in place of retain samples: who guides, and who takes part in the steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from falw_cli.data.no_retain import substituted
from falw_cli.data.splits import Part, Splits
from falw_cli.runtime.progress import Silent


def test_half_of_the_held_out_samples_take_their_place() -> None:
    pixels = np.zeros((40, 2, 2, 1), np.uint8)

    def part(rows: list[int]) -> Part:
        return Part(pixels, np.array(rows, np.int64), np.array(rows, np.int64) % 2)

    nobody, heldout = part([]), part(list(range(10, 30)))
    parts = Splits(part([1, 2]), nobody, nobody, heldout, part([31, 32]), np.array([5, 5]))
    progress = Silent()
    found = substituted(parts, progress)
    both = np.concatenate([found.retain.rows, found.heldout.rows])
    assert sorted(both) == list(range(10, 30))
    assert np.bincount(found.retain.labels).tolist() == [5, 5]
    assert len(found.judged) == 0
    assert (found.forget, found.test) == (parts.forget, parts.test)
    assert "10 held-out samples take their place" in progress.warnings[0]
    without_any = substituted(replace(parts, heldout=nobody), progress)
    assert len(without_any.retain) == len(without_any.heldout) == 0
