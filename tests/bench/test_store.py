"""The work folder: results of another version are reported and recomputed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from falw_cli.bench import store
from falw_cli.bench.store import Store, digest
from falw_cli.errors import RequestError


def test_a_folder_of_another_version_is_reported(tmp_path: Path) -> None:
    kept = Store(tmp_path / "work")
    assert kept.open() is None
    assert kept.open() is None
    mark = tmp_path / "work" / "store.json"
    mark.write_text(json.dumps({"tool": "falw 0.0.1", "layout": 0}))
    told = kept.open()
    assert told is not None
    assert "falw 0.0.1" in told
    assert kept.open() is None


def test_results_of_another_version_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest({"a": 1})
    assert digest({"a": 1}) == before != digest({"a": 2})
    monkeypatch.setattr(store, "__version__", "9.9.9")
    assert digest({"a": 1}) != before


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RequestError, match="contains other files"):
        Store(tmp_path).open()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_saved_results_are_loaded(tmp_path: Path) -> None:
    kept = Store(tmp_path / "work")
    kept.open()
    assert kept.load("cells", "a") is None
    kept.save("cells", "a", {"x": 1.5})
    assert kept.load("cells", "a") == {"x": 1.5}
