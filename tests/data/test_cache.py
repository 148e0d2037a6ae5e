"""The cache of decoded images where it cannot be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest

from falw_cli.data import cache
from falw_cli.data.cache import Draft
from falw_cli.runtime.progress import Silent


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_entry_is_memory_mapped_and_complete(tmp_path: Path) -> None:
    draft = Draft.begin(tmp_path / "images" / "entry", (3, 2, 2, 1), Silent())
    assert draft is not None
    draft.pixels[:] = 7
    kept = draft.keep(np.ones((3, 32), dtype=np.uint8), Silent())
    assert kept is not None
    assert isinstance(kept[0], np.memmap)
    assert (kept[0] == 7).all()
    kept[0][:] = 9  # changes this process's copy only
    again = cache.read(tmp_path / "images" / "entry", (3, 2, 2, 1), Silent())
    assert again is not None
    assert (again[0] == 7).all()
    draft.drop()
    assert list((tmp_path / "images").iterdir()) == [tmp_path / "images" / "entry"]


def test_a_full_disk_is_detected_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", _full)
    progress = Silent()
    assert Draft.begin(tmp_path / "images" / "entry", (3, 2, 2, 1), progress) is None
    assert progress.warnings == [
        "the cache cannot be written (No space left on device); images are not cached"
    ]
    assert not list((tmp_path / "images").iterdir())


def test_without_a_call_that_allocates_zeros_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS and Windows have no posix_fallocate."""
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(cache, "BLOCK", 1000)
    draft = Draft.begin(tmp_path / "images" / "entry", (3, 32, 32, 1), Silent())
    assert draft is not None
    file = draft.draft / "pixels.npy"
    assert file.stat().st_blocks * 512 >= file.stat().st_size  # no holes
    draft.pixels[:] = 7
    kept = draft.keep(np.ones((3, 32), dtype=np.uint8), Silent())
    assert kept is not None
    assert (kept[0] == 7).all()


def test_an_entry_that_cannot_be_saved_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft, progress = Draft.begin(tmp_path / "images" / "entry", (1, 2, 2, 1), Silent()), Silent()
    assert draft is not None
    monkeypatch.setattr(np, "save", _full)
    assert draft.keep(np.ones((1, 32), dtype=np.uint8), progress) is None
    assert progress.warnings == ["the cache cannot be written (No space left on device)"]


def test_a_missing_entry_is_none() -> None:
    nothing = platformdirs.user_cache_path("falw") / "images" / "nothing"
    assert cache.read(nothing, (3, 2, 2, 1), Silent()) is None


def test_entries_unused_for_a_month_are_removed(tmp_path: Path) -> None:
    old, new = tmp_path / "images" / "draft-old", tmp_path / "images" / "new"
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    draft = Draft.begin(tmp_path / "images" / "entry", (1, 2, 2, 1), Silent())
    assert draft is not None
    assert new.exists()
    assert not old.exists()


def test_two_runs_may_remove_images_from_an_entry_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, shape, progress = tmp_path / "entry", (3, 1), Silent()
    begin = Draft.begin
    draft = begin(folder, shape, progress)
    assert draft is not None
    draft.keep(np.ones((3, 32), np.uint8), progress)

    def while_the_other_run_moves_it(*given: Any) -> Draft | None:
        folder.rename(tmp_path / "moved")
        return begin(*given)

    monkeypatch.setattr(Draft, "begin", while_the_other_run_moves_it)
    cache.expel(folder, np.array([1]), shape, progress)
    assert not progress.warnings
    assert not folder.exists()


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _box(file: Path) -> None:
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink, _truncate, _box, lambda file: file.write_bytes(b"PK"),
        lambda file: np.save(file, np.zeros((2, 2), dtype=np.uint8)),
        lambda file: np.savez(file.open("wb"), a=np.zeros(3)),
    ],
    ids=["missing", "truncated", "pickled", "text", "another shape", "archive"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["pixels.npy", "digests.npy"])
def test_a_damaged_entry_is_removed_with_a_warning(
    tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    """After a power cut, for example; a pickled array is not read."""
    draft, progress = Draft.begin(tmp_path / "entry", (3, 2, 2, 1), Silent()), Silent()
    assert draft is not None
    assert draft.keep(np.ones((3, 32), dtype=np.uint8), progress) is not None
    damage(tmp_path / "entry" / name)
    assert cache.read(tmp_path / "entry", (3, 2, 2, 1), progress) is None
    assert "is damaged" in progress.warnings[0]
    assert not (tmp_path / "entry").exists()


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda file: file.write_bytes(b""), lambda file: np.savez(file.open("wb"), a=1)],
    ids=["missing", "empty", "archive"],
)
def test_damaged_marks_are_none(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    np.save(tmp_path / "turned.npy", np.array([1, 0, 3], dtype=np.uint8))
    assert cache.marks(tmp_path, 3).tolist() == [1, 0, 3]
    damage(tmp_path / "turned.npy")
    assert cache.marks(tmp_path, 3).tolist() == [0, 0, 0]
