"""Invalid usage of the installed command: exit 2, two lines on stderr, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import falw

UNLEARN = ("unlearn", "model.safetensors", "--forget", "ids.txt")


def edit(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return a setup function that changes a file's bytes; a missing file counts as empty."""

    def prepare(folder: Path) -> None:
        path = folder / file
        path.write_bytes(change(path.read_bytes() if path.exists() else b""))

    return prepare


def write(file: str, text: str) -> Callable[[Path], None]:
    return edit(file, lambda _: text.encode())


def tensors(change: Callable[[dict[str, torch.Tensor]], None], out: str) -> Callable[[Path], None]:
    """Return a setup function that writes a changed model.safetensors without metadata to `out`."""

    def prepare(folder: Path) -> None:
        found = load_file(folder / "model.safetensors")
        change(found)
        save_file(found, folder / out)

    return prepare


def poison(found: dict[str, torch.Tensor]) -> None:
    found["0.weight"][3] = float("nan")


def eleven_classes(found: dict[str, torch.Tensor]) -> None:
    for name in ("16.weight", "16.bias"):
        found[name] = torch.cat([found[name], found[name][:1]])


def two_pictures(folder: Path) -> None:
    """Write an npz file of other images; the model lacks one of their labels."""
    images = np.zeros((2, 8, 8, 1), dtype=np.uint8)
    np.savez(folder / "two.npz", images=images, labels=np.array([3, 12]))


def broken_picture(folder: Path) -> None:
    for name in "ab":
        (folder / "pictures" / name).mkdir(parents=True)
        (folder / "pictures" / name / "one.png").write_bytes(b"not a picture")


def nothing(folder: Path) -> None:
    """Change no files; only the flags are wrong."""


# problem: setup function, arguments, words that the two lines must contain
CASES: dict[str, tuple[Callable[[Path], None], tuple[str, ...], tuple[str, ...]]] = {
    "unknown command": (nothing, ("unlern", "model.safetensors"), ("unlern",)),
    "no argument": (nothing, ("unlearn",), ("model",)),
    "unknown flag": (nothing, (*UNLEARN, "--epoch", "3"), ("--epoch", "--epochs")),
    "text for a number": (
        nothing, (*UNLEARN, "--epochs", "many"),
        ("error: --epochs: input should be a valid integer (got 'many')", "hint: epochs: passes"),
    ),
    "fraction for a number": (
        nothing, ("forget-list", "--count", "1.5"), ("error: --count: input", "(got '1.5')"),
    ),
    "text for a share": (
        nothing, ("forget-list", "--ratio", "half"),
        ("error: --ratio: input should be a valid number (got 'half')", "hint: ratio: share"),
    ),
    "zero epochs": (nothing, (*UNLEARN, "--epochs", "0"), ("--epochs", "1")),
    "negative lr": (nothing, (*UNLEARN, "--lr", "-1"), ("--lr", "-1")),
    "lr not a number": (nothing, (*UNLEARN, "--lr", "nan"), ("--lr",)),
    "tau not finite": (nothing, (*UNLEARN, "--tau", "inf"), ("--tau",)),
    "unknown method": (
        nothing, (*UNLEARN, "--method", "random-labels"), ("random-label", "finetune"),
    ),
    "unknown weighting": (nothing, (*UNLEARN, "--weighting", "fawl"), ("falw", "none")),
    "weighting without a loss": (
        nothing, (*UNLEARN, "--method", "finetune", "--weighting", "falw"), ("finetune", "none"),
    ),
    "weighting without a loss a sample": (
        nothing,
        (*UNLEARN, "--method", "boundary-expand", "--weighting", "satimp"),
        ("boundary-expand", "satimp", "none"),
    ),
    "preset with another weighting": (
        nothing,
        (*UNLEARN, "--method", "falw-paper", "--weighting", "none"),
        ("falw-paper", "random-label"),
    ),
    "preset with another stop": (
        nothing, (*UNLEARN, "--method", "falw-paper", "--stop", "auto"), ("falw-paper", "stop"),
    ),
    "unknown hyperparameter": (
        nothing, (*UNLEARN, "--set", "log_ods=2"), ("log_ods", "log_odds"),
    ),
    "hyperparameter out of range": (
        nothing, (*UNLEARN, "--set", "log_odds=-2"), ("log_odds", "-2"),
    ),
    "hyperparameter without a number": (
        nothing, (*UNLEARN, "--set", "log_odds"), ("NAME=NUMBER",),
    ),
    "text for a learning rate": (
        nothing, (*UNLEARN, "--lr", "fast"), ("--lr", "valid number, or 'auto' (got 'fast')"),
    ),
    "unknown way to stop": (nothing, (*UNLEARN, "--stop", "never"), ("--stop", "auto")),
    "target_every with a streaming target": (
        nothing,
        (*UNLEARN, "--target-every", "4"),
        ("streaming", "--target exact"),
    ),
    "unknown target": (nothing, (*UNLEARN, "--target", "exakt"), ("exakt", "exact")),
    "empty retain budget": (nothing, (*UNLEARN, "--retain-budget", "0"), ("retain_budget",)),
    "utility loss out of range": (nothing, (*UNLEARN, "--max-utility-loss", "101"), ("100",)),
    "unknown device": (nothing, (*UNLEARN, "--device", "gpu"), ("--device", "gpu")),
    "absent device": (nothing, (*UNLEARN, "--device", "cuda:77"), ("cuda:77", "cpu")),
    "unknown precision": (nothing, (*UNLEARN, "--precision", "fp8"), ("fp32", "bf16")),
    "unknown architecture": (nothing, (*UNLEARN, "--arch", "resnet19"), ("resnet18",)),
    "other architecture": (
        nothing, (*UNLEARN, "--arch", "resnet18-cifar"), ("conv1.weight", "missing"),
    ),
    "missing checkpoint": (nothing, ("unlearn", "no.safetensors", "--forget", "ids.txt"), ("no",)),
    "truncated checkpoint": (
        edit("model.safetensors", lambda b: b[:-100]), UNLEARN, ("model.safetensors", "complete"),
    ),
    "pickle checkpoint": (
        edit("model.safetensors", lambda _: b"\x80\x04}q\x00."), UNLEARN, ("safetensors",),
    ),
    "checkpoint with NaN": (
        tensors(poison, "nan.safetensors"),
        ("unlearn", "nan.safetensors", "--forget", "ids.txt"),
        ("0.weight", "NaN"),
    ),
    "other number of classes": (
        tensors(eleven_classes, "eleven.safetensors"),
        ("unlearn", "eleven.safetensors", "--forget", "ids.txt"),
        ("11", "10"),
    ),
    "reference of other classes": (
        tensors(eleven_classes, "eleven.safetensors"),
        (*UNLEARN, "--reference", "eleven.safetensors"),
        ("eleven.safetensors", "classes"),
    ),
    "no forget list": (nothing, ("unlearn", "model.safetensors"), ("--forget",)),
    "missing list": (nothing, ("unlearn", "model.safetensors", "--forget", "a.txt"), ("a.txt",)),
    "empty list": (write("ids.txt", "# nobody\n\n"), UNLEARN, ("ids.txt", "no ID")),
    "list not in UTF-8": (edit("ids.txt", lambda _: b"1\n2\xff\n"), UNLEARN, ("line 2", "UTF-8")),
    "checkpoint as a list": (
        edit("ids.txt", lambda _: b"\x80\r\x02\0\n"), UNLEARN, ("line 1", "NUL byte", "text"),
    ),
    "unknown IDs": (
        edit("ids.txt", lambda b: b + b"".join(b"x%d\n" % i for i in range(7))),
        UNLEARN,
        ("7 of", "'x0'", "'x4'"),
    ),
    "list of everything": (
        write("ids.txt", "".join(f"{i}\n" for i in range(1797))), UNLEARN, ("not in the training",),
    ),
    "unknown kind of data": (nothing, (*UNLEARN, "--data", "folder:a"), ("imagefolder", "csv")),
    "missing data": (nothing, (*UNLEARN, "--data", "imagefolder:gone"), ("gone",)),
    "held-out is training data": (
        nothing, (*UNLEARN, "--heldout", "digits#train"), ("held-out", "training", "by ID"),
    ),
    "test is held-out data": (nothing, (*UNLEARN, "--test", "digits#test"), ("held-out", "test")),
    "label out of range": (
        two_pictures, (*UNLEARN, "--test", "npz:two.npz"), ("two.npz", "12", "10 classes"),
    ),
    "CSV without columns": (
        write("d.csv", "file,class\na.png,x\n"), (*UNLEARN, "--data", "csv:d.csv"), ("path,label",),
    ),
    "unreadable image": (
        broken_picture,
        ("train", "--data", "imagefolder:pictures", "--out", "new.safetensors"),
        ("a/one.png", "--skip-unreadable"),
    ),
    "output exists": (write("model.unlearned.safetensors", "mine"), UNLEARN, ("--force",)),
    "output exists, dry run": (
        write("model.unlearned.safetensors", "mine"), (*UNLEARN, "--dry-run"),
        ("error: model.unlearned.safetensors exists", "--force"),
    ),
    "report exists, dry run": (
        write("mine.json", "mine"), (*UNLEARN, "--dry-run", "--report", "mine.json"),
        ("error: mine.json exists", "--force"),
    ),
    "report of an audit exists, dry run": (
        write("model.shadow.audit.json", "mine"),
        ("audit", *UNLEARN[1:], "--shadow", "4", "--dry-run"),
        ("error: model.shadow.audit.json exists", "--force"),
    ),
    "folder as output": (nothing, (*UNLEARN, "--out", "."), ("--out . is a folder",)),
    "page as report": (nothing, (*UNLEARN, "--report", "a.html"), ("json", "falw report")),
    "page as report of an evaluation": (
        nothing, ("evaluate", "model.safetensors", "--report", "a.md"), ("json", "falw report"),
    ),
    "other format of a trained model": (
        nothing, ("train", "--out", "a.pt"), ("a.safetensors", "falw convert"),
    ),
    "nothing of that name": (
        nothing, ("inspect", "model.safetensor"), ("did you mean 'model.safetensors'?",),
    ),
    "report as a model": (
        write("a.json", '{"schema_version": "1"}'), ("evaluate", "a.json"),
        ("a.json is not a checkpoint",),
    ),
    "config of a bench without data": (
        write("b.yaml", "seeds: [0]\n"), ("bench", "b.yaml"), ("b.yaml: datasets is missing",),
    ),
    "no such folder, dry run": (
        nothing, (*UNLEARN, "--out", "gone/out.safetensors", "--dry-run"), ("gone",),
    ),
    "no such folder": (nothing, (*UNLEARN, "--out", "gone/out.safetensors"), ("gone",)),
    "one file twice": (nothing, (*UNLEARN, "--out", "a", "--report", "a"), ("--out", "--report")),
    "typo in the config": (
        edit("falw.yaml", lambda b: b + b"unlaern: {epochs: 1}\n"), UNLEARN, ("line 5", "unlearn"),
    ),
    "typo in a section": (
        write("falw.yaml", "arch: tiny-cnn\nunlearn:\n  epoch: 1\n"), UNLEARN, ("line 3", "epochs"),
    ),
    "wrong value in the config": (
        write("falw.yaml", "data: digits\nseed: soon\n"), UNLEARN, ("line 2", "soon"),
    ),
    "config not YAML": (write("falw.yaml", "data: [digits\n"), UNLEARN, ("falw.yaml line",)),
    "output set in a file": (
        edit("falw.yaml", lambda b: b + b"out: /etc/passwd\n"), UNLEARN, ("out", "--out"),
    ),
    "missing config": (nothing, (*UNLEARN, "--config", "no.yaml"), ("no.yaml",)),
    "code from a found config": (
        write("falw.yaml", "arch: os:getcwd\ndata: digits\n"), UNLEARN, ("import", "--trust-code"),
    ),
    "code from a found config, which inspect would import": (
        write("falw.yaml", "arch: os:getcwd\n"), ("inspect", "model.safetensors"), ("import",),
    ),
    "not a gate": (nothing, (*UNLEARN, "--gate", "avg_gap"), ("avg_gap", "NAME OP NUMBER")),
    "unknown gate": (nothing, (*UNLEARN, "--gate", "avg_gab<1"), ("avg_gab", "avg_gap")),
    "ratio and count": (nothing, ("forget-list", "--ratio", "0.1", "--count", "3"), ("--count",)),
    "ratio above one": (nothing, ("forget-list", "--ratio", "10"), ("--ratio", "10")),
    "unknown class": (nothing, ("forget-list", "--count", "3", "--class", "x"), ("class", "'x'")),
    "not a report": (write("a.json", "{}"), ("inspect", "a.json"), ("a.json", "audit report")),
    "a list in an object": (
        write("a.json", '{"ids": ["1"]}'), ("inspect", "a.json"), ("schema_version", "list of IDs"),
    ),
}  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(project: Path, name: str) -> None:
    prepare, arguments, words = CASES[name]
    prepare(project)
    before = contents(project)
    done = falw(*arguments, cwd=project)
    assert done.returncode == 2, (done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning:")]
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint: ")
    for word in words:
        assert word.lower() in done.stderr.lower()
    assert done.stdout == ""
    assert contents(project) == before


def test_a_traceback_is_shown_on_request(project: Path) -> None:
    done = falw("unlearn", "no.safetensors", "--forget", "ids.txt", "-v", "-v", cwd=project)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-2].startswith("error: ")
