"""Splits of shadow models over the list."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from falw_cli.config.settings import Config
from falw_cli.data.opening import open_listing
from falw_cli.runtime.progress import Silent
from falw_cli.shadow.attacks import halves
from falw_cli.shadow.run import _groups


def test_a_group_is_in_a_split_as_a_whole(tmp_path: Path) -> None:
    images = np.zeros((8, 8, 8, 1), dtype=np.uint8)
    people = np.array([5, 4, 5, 4, 9, 9, 4, 5])
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(8) % 2, person=people)
    listing = open_listing(f"npz:{tmp_path / 'd.npz'}")
    groups = _groups(listing, Config(group="person"), Silent())
    assert groups.tolist() == [1, 0, 1, 0, 2, 2, 0, 1]
    members = halves(4, 3, np.random.default_rng(0))[:, groups]
    for person in (4, 5, 9):
        together = members[:, people == person]
        assert (together.all(axis=1) == together.any(axis=1)).all()
    assert _groups(listing, Config(), Silent()).tolist() == list(range(8))
