"""Untrusted text is shown safely, and changes only the displayed text."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import at_once
from tests.conftest import clean_environment, falw, once
from tests.data.pictures import make_folder

ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"
HTML = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
PYTHON = "os:system"
NAMES = (f"{ESCAPES}ant", f"{HTML}bee", f"__import__('{PYTHON}')")
ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture
def hostile(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """A project whose checkpoint has malicious class names and metadata."""
    made = once(tmp_path_factory, "hostile", _make_hostile)
    return shutil.copytree(made, tmp_path, dirs_exist_ok=True)


def _make_hostile(folder: Path) -> None:
    kinds = ("ant", "bee", "cat")
    for split, seed in (("seen", 0), ("unseen", 9000)):
        make_folder(folder / split, dict.fromkeys(kinds, 12), seed=seed)
        rows = [
            f"{split}/{name}/{n}.png,{label}"
            for label, name in enumerate(kinds) for n in range(12)
        ]  # fmt: skip
        (folder / f"{split}.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    said = {
        "arch": "tiny-cnn", "classes": NAMES, "preprocessing": {"image_size": 12},
        "tool": f"{ESCAPES}{HTML}", "unlearned": {ESCAPES: HTML},
    }  # fmt: skip
    foreign = {"falw": json.dumps(said), ESCAPES: HTML, "loader": PYTHON}
    (folder / "ids.txt").write_text("seen/ant/0.png\nseen/bee/1.png\n")
    (folder / "falw.yaml").write_text("data: csv:seen.csv\nheldout: csv:unseen.csv\n")
    train = ("--arch", "tiny-cnn", "--epochs", "20", "--batch-size", "8", "--out", "m.safetensors")
    assert falw("train", *train, cwd=folder).returncode == 0
    weights = load_file(folder / "m.safetensors")
    save_file(weights, folder / "model.safetensors", metadata=foreign)


def on_a_terminal(*arguments: str, cwd: Path) -> str:
    """Run the command on a pseudo-terminal and return its output."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [str(at_once.command()), *arguments], cwd=cwd, stdout=slave, stderr=slave, stdin=slave,
        env=clean_environment() | {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "200"},
    )  # fmt: skip
    os.close(slave)
    parts = []
    try:
        while part := os.read(master, 1 << 16):
            parts.append(part)
    except OSError:  # Linux reports the end of a terminal as an error
        pass
    os.close(master)
    assert process.wait() == 0
    return b"".join(parts).decode()


@pytest.mark.slow
def test_hostile_names_in_a_checkpoint_change_only_the_displayed_text(hostile: Path) -> None:
    asked = ("unlearn", "model.safetensors", "--forget", "ids.txt", "--epochs", "1", "--stop",
             "epochs", "--batch-size", "8", "--html", "--force", "--no-forgotten-gate",
             "--forgotten", "none")  # fmt: skip
    done = falw(*asked, "--json", cwd=hostile)
    assert done.returncode == 0, done.stderr
    assert not ACTS.search(done.stderr)
    assert done.stdout.isascii()
    assert not ACTS.search(done.stdout)
    report = json.loads(done.stdout)
    assert set(report["forget"]["per_class"]) <= set(NAMES)  # unchanged, because machines read them
    page = (hostile / "model.unlearned.audit.html").read_text()
    assert not ACTS.search(page)
    assert "<script>document" not in page
    assert "<img" not in page
    first = load_file(hostile / "model.unlearned.safetensors")

    harmless = json.loads(
        '{"arch": "tiny-cnn", "classes": ["a", "b", "c"], "preprocessing": {"image_size": 12}, '
        '"unlearned": {}}'
    )
    weights = load_file(hostile / "model.safetensors")
    save_file(weights, hostile / "model.safetensors", metadata={"falw": json.dumps(harmless)})
    assert falw(*asked, cwd=hostile).returncode == 0
    torch.testing.assert_close(
        load_file(hostile / "model.unlearned.safetensors"), first, rtol=0, atol=0
    )


@pytest.mark.parametrize(
    "asked",
    [("inspect", "model.safetensors"), ("evaluate", "model.safetensors", "--forget", "ids.txt")],
    ids=["inspect", "evaluate"],
)
def test_a_terminal_gets_no_control_sequences(hostile: Path, asked: tuple[str, ...]) -> None:
    shown = on_a_terminal(*asked, cwd=hostile).replace("\r\n", "\n").replace("\r", "")
    assert not ACTS.search(shown), repr(shown)


def test_tensor_names_are_shown_safely(hostile: Path) -> None:
    weights = load_file(hostile / "model.safetensors")
    weights[f"{ESCAPES}{HTML}"] = torch.zeros(1)
    save_file(weights, hostile / "model.safetensors")
    refused = falw("evaluate", "model.safetensors", "--arch", "tiny-cnn", cwd=hostile)
    assert refused.returncode == 2
    assert "is unexpected" in refused.stderr
    assert not ACTS.search(refused.stderr)


def test_ids_are_shown_safely_on_a_terminal(tmp_path: Path) -> None:
    make_folder(tmp_path / "pictures", {"a": 1, "b": 1})
    (tmp_path / "pictures" / "a" / "0.png").rename(tmp_path / "pictures" / "a" / "\x1b[2J.png")
    asked = ("forget-list", "--data", "imagefolder:pictures", "--count", "2")
    assert not ACTS.search(on_a_terminal(*asked, cwd=tmp_path).replace("\r", ""))
    assert "\x1b[2J" in falw(*asked, cwd=tmp_path).stdout  # a file gets it unchanged


def test_an_id_with_a_line_break_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "pictures", {"a": 1, "b": 1})
    (tmp_path / "pictures" / "a" / "0.png").rename(
        tmp_path / "pictures" / "a" / "0\nb/0.png".replace("/", "-")
    )
    refused = falw("inspect", "imagefolder:pictures", cwd=tmp_path)
    assert refused.returncode == 2
    assert "contains a line break" in refused.stderr


@pytest.mark.parametrize("link", ["file", "folder", "class", "circle"])
def test_links_out_of_the_folder_are_refused(tmp_path: Path, link: str) -> None:
    make_folder(tmp_path / "pictures", {"a": 2, "b": 2})
    make_folder(tmp_path / "secret", {"c": 1})
    place, target = {
        "file": ("a/9.png", "secret/c/0.png"), "folder": ("a/more", "secret/c"),
        "class": ("c", "secret/c"), "circle": ("a/more", "pictures"),
    }[link]  # fmt: skip
    (tmp_path / "pictures" / place).symlink_to(tmp_path / target)
    refused = falw("inspect", "imagefolder:pictures", cwd=tmp_path)
    assert refused.returncode == 2
    assert place in refused.stderr
    allowed = falw("inspect", "imagefolder:pictures", "--allow-outside", cwd=tmp_path)
    assert allowed.returncode == (2 if link == "circle" else 0)


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    make_folder(tmp_path / "pictures", {"a": 2, "b": 2})
    (tmp_path / "pictures" / "a" / "9.png").symlink_to("../b/0.png")
    found = falw("inspect", "imagefolder:pictures", "--json", cwd=tmp_path)
    assert json.loads(found.stdout)["count"] == 5
