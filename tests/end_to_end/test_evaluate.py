"""`falw evaluate` with the model before unlearning, by the installed command."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from tests.conftest import falw

LISTED = ("--forget", "ids.txt")


def test_the_original_shows_what_was_forgotten(unlearned: Path) -> None:
    project = unlearned
    made = json.loads((project / "model.unlearned.audit.json").read_text())
    alone = falw("evaluate", "model.unlearned.safetensors", *LISTED, "--json", cwd=project)
    assert json.loads(alone.stdout)["metrics"]["after"]["forgotten_share"] is None
    compared = falw(
        "evaluate", "model.unlearned.safetensors", *LISTED, "--original", "model.safetensors",
        "--reference", "model.safetensors", "--json", cwd=project,
    )  # fmt: skip
    found = json.loads(compared.stdout)
    assert compared.returncode == 0, compared.stderr
    assert (
        found["metrics"]["after"]["forgotten_share"] == made["metrics"]["after"]["forgotten_share"]
    )
    assert found["pairs"] == made["pairs"]
    assert found["metrics"]["changes"] == made["metrics"]["changes"]
    assert found["inputs"]["model"]["unlearned"] is True
    # The original as a reference was trained on the list.
    assert any("its training left out no list" in one for one in found["warnings"])
    assert any("has the weights of the original" in one for one in found["warnings"])


def test_an_untouched_model_is_not_called_forgotten(project: Path) -> None:
    done = falw("evaluate", "model.safetensors", *LISTED, cwd=project)
    assert "Cannot tell" in done.stderr
    assert "--original" in done.stderr


def test_models_that_cannot_be_compared_are_refused(unlearned: Path) -> None:
    project = unlearned
    for flag in ("--original", "--reference"):
        same = falw(
            "evaluate", "model.safetensors", *LISTED, flag, "model.safetensors", cwd=project
        )
        assert same.returncode == 2
        assert "is the model itself" in same.stderr
        assert len(same.stderr.strip().splitlines()) == 2
    tensors = load_file(project / "model.safetensors")
    save_file(tensors, project / "copy.safetensors")  # without metadata: another digest
    copied = falw("evaluate", "model.safetensors", *LISTED, "--reference", "copy.safetensors",
                  cwd=project)  # fmt: skip
    assert copied.returncode == 2
    assert "reference copy.safetensors has the weights of the model" in copied.stderr
    other = falw(
        "evaluate", "model.unlearned.safetensors", *LISTED, "--original", "retrain.safetensors",
        cwd=project,
    )  # fmt: skip
    assert other.returncode == 2
    assert "is not the checkpoint that" in other.stderr
    later = falw("evaluate", "model.safetensors", *LISTED, "--original",
                 "model.unlearned.safetensors", cwd=project)  # fmt: skip
    assert later.returncode == 2
    assert "model.unlearned.safetensors was made from the model" in later.stderr
