"""`falw doctor`: it finds problems and suggests a fix for each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from falw_cli.cli import doctor
from tests.conftest import falw


def test_a_working_project_has_no_problems(project: Path) -> None:
    done = falw("doctor", "--json", cwd=project)
    found = {one["name"]: one for one in json.loads(done.stdout)}
    problems = [one for one in found.values() if one["state"] == "problem"]
    assert not problems
    assert done.returncode == 0
    assert found["falw.yaml"]["state"] == "ok"
    assert "1,198 samples" in found["data:"]["found"]


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("sede: 1\n", "falw.yaml", "unknown key 'sede'"),
        ("data: imagefolder:nowhere\n", "data:", "no folder nowhere"),
        ("data: digits\nreference: [gone.safetensors]\n", "gone.safetensors", "no checkpoint"),
        ("forget: gone.txt\n", "gone.txt", "cannot be read"),
    ],
)
def test_a_config_with_a_problem(tmp_path: Path, text: str, name: str, said: str) -> None:
    (tmp_path / "falw.yaml").write_text(text)
    done = falw("doctor", "--json", cwd=tmp_path)
    (problem,) = [one for one in json.loads(done.stdout) if one["state"] == "problem"]
    assert done.returncode == 1
    assert problem["name"] == name
    assert said in problem["found"]
    assert problem["hint"]


def test_a_machine_with_problems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1 << 20))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: SimpleNamespace(free=5))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    found = {one.name: one for one in doctor.examine(None)}
    for name in ("memory", "GPU", "cache", "this folder"):
        assert found[name].state == "problem", name
        assert found[name].hint
    assert "built for CPUs only" in found["GPU"].hint


def test_a_library_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise RuntimeError(f"operator {name}::nms does not exist")

    monkeypatch.setattr(doctor.importlib, "import_module", fails)
    found = {one.name: one for one in doctor._libraries()}
    assert "torchvision::nms does not exist" in found["torchvision"].found
    assert "together" in found["torchvision"].hint


def test_a_cache_in_a_folder_that_may_not_be_entered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The parent is asked instead; root may enter every folder, so the refusal is patched in."""
    closed, stat = tmp_path / "closed", os.stat

    def refused(path: object, *more: object, **given: object) -> os.stat_result:
        if str(path).startswith(str(closed / "falw")):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *more, **given)  # type: ignore[arg-type]

    closed.mkdir()
    monkeypatch.setattr(os, "stat", refused)
    assert doctor._writable("cache", closed / "falw", "x").state in ("ok", "problem")
