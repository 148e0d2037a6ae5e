"""Input files that change during a run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from falw_cli.models.checkpoint import sha256
from falw_cli.models.inputs import Inputs, warn_of_changes
from falw_cli.runtime.progress import Silent


def test_changed_files_are_reported(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("model", "retrain", "ids.txt")}
    for file in files.values():
        file.write_text(file.name)
    entry = {name: {"path": str(file), "sha256": sha256(file)} for name, file in files.items()}
    described = {
        "model": entry["model"], "original": None, "references": [entry["retrain"]],
            "forget_list": entry["ids.txt"],
    }  # fmt: skip
    config = SimpleNamespace(forget=str(files["ids.txt"]))
    given = cast(Inputs, SimpleNamespace(described=described, config=config))
    progress = Silent()
    warn_of_changes(given, progress)
    assert progress.warnings == []
    files["model"].write_text("another")
    files["retrain"].unlink()
    warn_of_changes(given, progress)
    assert progress.warnings == [
        f"{name} changed during the run; the report describes what was read"
        for name in ("model", "retrain")
    ]
