"""Compare fixed runs of this code with another revision: results must be bit-identical.

    python -m tests.same_bits REVISION

For refactoring, which must not change any result. Exit code 1 if checkpoints or metrics differ.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.torch import load_file

ROOT = Path(__file__).parents[1]
CONFIG = "arch: tiny-cnn\ndata: digits\nheldout: digits\ntrain: {epochs: 8}\n"
UNLEARN = ("unlearn", "model.safetensors", "--forget", "ids.txt", "--reference",
           "retrain.safetensors", "--no-forgotten-gate", "--force")  # fmt: skip
RUNS = {
    "train": ("train", "--seed", "1"),
    "forget list": ("forget-list", "--ratio", "0.2", "--gamma", "1", "--seed", "1"),
    "retrain": ("train", "--seed", "2", "--without", "ids.txt"),
    "default": UNLEARN,
    "match x falw": (*UNLEARN, "--weighting", "falw", "--seed", "3"),
    "salun": (*UNLEARN, "--method", "salun", "--epochs", "2"),
    "falw-paper": (*UNLEARN, "--method", "falw-paper", "--lr", "0.01", "--epochs", "2"),
    "random-label": (*UNLEARN, "--method", "random-label", "--lr", "auto", "--relearn"),
    "evaluate": ("evaluate", "model.safetensors", "--forget", "ids.txt", "--reference",
                 "retrain.safetensors", "--force", "--json"),
}  # fmt: skip
"""Commands by name, run in this order in one folder."""
OF_RESULT = ("run", "metrics", "target", "weights", "comeback", "forget", "gates")
"""Result sections of a report; in `run`, times and memory are not results."""


def digests(code: Path) -> dict[str, str]:
    """Run all commands with the code in a folder, and return the digest of each result."""
    found = {}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FALW_")}
    environment |= {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "falw.yaml").write_text(CONFIG)
        for title, arguments in RUNS.items():
            done = subprocess.run(
                [sys.executable, "-m", "falw_cli", *arguments, "-q"], cwd=folder, env=environment,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if arguments[0] == "forget-list":
                (folder / "ids.txt").write_text(done.stdout)
            found[title] = f"exit {done.returncode}, {_digest(folder, done.stdout)}"
    return found


def _digest(folder: Path, printed: str) -> str:
    """Return the digest of the checkpoint that a command names, and of the figures of its report.

    Wording, times and memory may differ; `evaluate` prints its report, `forget-list` the list.
    """
    path = folder / printed.strip().partition("\n")[0]
    if printed.startswith("{"):
        return _hashed([_figures(printed)])
    if path.suffix != ".safetensors":
        return _hashed([printed])
    report = path.with_suffix(".audit.json")
    weights = {name: value.numpy().tobytes().hex() for name, value in load_file(path).items()}
    parts = [json.dumps(weights, sort_keys=True)]
    return _hashed([*parts, *([_figures(report.read_text())] if report.exists() else [])])


def _figures(report: str) -> str:
    content = json.loads(report)
    (content["run"] or {}).update(seconds=0, peak_memory_bytes=0, stopped_because="")
    return json.dumps([content.get(key) for key in OF_RESULT], sort_keys=True)


def _hashed(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def main(revision: str) -> int:
    """Compare, print a line for each run, and return 1 if any differs."""
    with tempfile.TemporaryDirectory() as name:
        other = Path(name) / "other"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(other), revision], check=True)
        try:
            before, after = digests(other), digests(ROOT)
        finally:
            subprocess.run([*git, "remove", "--force", str(other)], check=True)
    for title in RUNS:
        same = before[title] == after[title]
        sys.stdout.write(f"{title}: {'same' if same else f'{before[title]} -> {after[title]}'}\n")
    return int(before != after)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
