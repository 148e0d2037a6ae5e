"""Row numbers as IDs: removed rows are noticed, unless the data has IDs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from falw_cli.config.settings import Config
from falw_cli.data.opening import open_listing
from falw_cli.models.earlier import open_earlier
from falw_cli.models.row_numbers import mark_of_rows, warn_of_moved_rows
from falw_cli.runtime.progress import Silent
from tests.models.test_earlier import CHAIN, model, said

LABELS = [0, 1, 0, 0, 1, 1, 0, 1]


def npz(file: Path, labels: list[int], ids: list[str] | None = None) -> str:
    images = np.zeros((len(labels), 8, 8, 1), dtype=np.uint8)
    more = {} if ids is None else {"ids": np.array(ids)}
    np.savez(file, images=images, labels=np.array(labels), **more)
    return f"npz:{file}"


@pytest.mark.parametrize(
    ("now", "warned"),
    [
        (LABELS, False),
        ([*LABELS, 1], False),
        (LABELS[:-1], True),
        ([*LABELS[:2], *LABELS[3:]], True),
        ([*LABELS[:2], *LABELS[3:], 1, 0], True),  # as many rows as before, and more
    ],
)
def test_removed_and_moved_rows_are_noticed(tmp_path: Path, now: list[int], warned: bool) -> None:
    (tmp_path / "ids.txt").write_text("1\n")
    mark = mark_of_rows(open_listing(npz(tmp_path / "then.npz", LABELS)))
    source = model(said(ancestors=(CHAIN[0].model_copy(update={"rows": mark}), *CHAIN[1:])))
    listing = open_listing(npz(tmp_path / "now.npz", now))
    progress, config = Silent(), Config(forgotten=(str(tmp_path / "ids.txt"),))
    earlier = open_earlier(config, source, (), listing.ids, None, np.empty(0, np.int64), progress)
    warn_of_moved_rows(source, listing, earlier, progress)
    assert any("row numbers" in one for one in progress.warnings) == warned
    warn_of_moved_rows(source, listing, replace(earlier, requests=()), progress)
    assert len(progress.warnings) == warned


def test_data_with_ids_has_no_mark(tmp_path: Path) -> None:
    named = open_listing(npz(tmp_path / "d.npz", LABELS, list("abcdefgh")))
    assert mark_of_rows(named) is None
