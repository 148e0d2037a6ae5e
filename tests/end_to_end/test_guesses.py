"""What a command guesses of classes, and passes over in data: warnings, reports and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.conftest import falw

CLASSES = [str(i) for i in range(12)]
DATA = ("--data", "imagefolder:d", "--heldout", "imagefolder:h")


def _folder(root: Path, per_class: int, seed: int) -> None:
    """Twelve classes of one colour pattern each, with a little noise."""
    random = np.random.default_rng(seed)
    for label, name in enumerate(CLASSES):
        pattern = np.random.default_rng(label).integers(20, 230, (2, 2, 3)).repeat(4, 0)
        (root / name).mkdir(parents=True)
        for row in range(per_class):
            noisy = pattern.repeat(4, 1) + random.integers(-10, 11, (8, 8, 3))
            Image.fromarray(noisy.astype(np.uint8)).save(root / name / f"{row}.png")


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """A model of twelve folders, `m.safetensors`, and its weights in natural order, `n.pt`."""
    _folder(tmp_path / "d", 8, 0)
    _folder(tmp_path / "h", 4, 1)
    (tmp_path / "d" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "d" / "yak").mkdir()
    (tmp_path / "d" / "3" / "notes.txt").write_text("x")
    (tmp_path / "ids.txt").write_text("3/1.png\n10/4.png\n")
    done = falw(
        "train", *DATA, "--arch", "tiny-cnn", "--epochs", "15", "--batch-size", "16",
        "--out", "m.safetensors", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    weights = load_file(tmp_path / "m.safetensors")
    torch.save(weights, tmp_path / "text.pt")
    rows = torch.tensor([sorted(CLASSES).index(name) for name in CLASSES])
    natural = {k: v[rows] if v.dim() and len(v) == 12 else v for k, v in weights.items()}
    torch.save(natural, tmp_path / "n.pt")
    return tmp_path


def test_classes_are_neither_hidden_nor_empty_folders_and_their_order_is_checked(
    numbered: Path,
) -> None:
    facts = json.loads(falw("inspect", "m.safetensors", "--json", cwd=numbered).stdout)
    assert facts["classes"] == sorted(CLASSES)
    shown = json.loads(falw("inspect", "imagefolder:d", "--json", cwd=numbered).stdout)
    assert shown["per_class"] == dict.fromkeys(sorted(CLASSES), 8)
    assert [note.partition(" ")[2] for note in shown["notes"]] == [
        "file of another kind was passed over: .txt (1)",
        "hidden folder was passed over: .ipynb_checkpoints",
        "folder without images is not taken for a class: yak",
    ]
    arch = ("--arch", "tiny-cnn", "--json")
    shown = falw("inspect", "text.pt", "--data", "imagefolder:d", *arch, cwd=numbered)
    notes = json.loads(shown.stdout)["notes"]
    assert any("mean and std are not given: measured on the retain set" in one for one in notes)
    assert any("text order; natural order is" in one for one in notes)
    right = falw("evaluate", "text.pt", *DATA, *arch, cwd=numbered)
    report = json.loads(right.stdout)
    assert report["metrics"]["after"]["retain_accuracy"] > 90
    text = "\n".join(report["warnings"])
    assert "text order; natural order is 0, 1, 2, 3, 4 …" in text
    assert "'imagefolder:d': 1 folder without images is" in text
    assert "the model's accuracy on retain" not in text
    wrong = json.loads(falw("evaluate", "n.pt", *DATA, *arch, cwd=numbered).stdout)
    assert wrong["metrics"]["after"]["retain_accuracy"] < 40
    assert any("with its classes in another order" in one for one in wrong["warnings"])
    unlearn = ("unlearn", "n.pt", *DATA, "--arch", "tiny-cnn", "--forget", "ids.txt")
    refused = falw(*unlearn, cwd=numbered)
    assert refused.returncode == 2
    assert "with its classes in another order" in refused.stderr
    assert not (numbered / "n.unlearned.safetensors").exists()
    (numbered / "names.txt").write_text("\n".join(CLASSES))
    named = falw("evaluate", "n.pt", *DATA, *arch, "--classes", "names.txt", cwd=numbered)
    report = json.loads(named.stdout)
    assert report["metrics"]["after"]["retain_accuracy"] > 90
    assert not any("names no classes" in one for one in report["warnings"])
    (numbered / "names.txt").write_text("\n".join(sorted(CLASSES)))
    named = falw("evaluate", "n.pt", *DATA, *arch, "--classes", "names.txt", cwd=numbered)
    assert "with its classes in another order" in named.stderr
