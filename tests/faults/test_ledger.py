"""Two runs that end together are both recorded; kills are in `test_points.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from falw_cli.data import ledger
from tests.faults.kill import digest, falw, finish, prepare


@pytest.mark.slow
def test_two_commands_at_once_append_one_after_another() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        running = [
            falw(
                folder, "unlearn", "model.safetensors", "--forget", "ids.txt", "--out",
                f"{seed}.safetensors", "--seed", str(seed), "--ledger", "ledger.jsonl",
            )
            for seed in range(2)
        ]  # fmt: skip
        for one in running:
            assert one.wait() == 0, one.stderr
        entries = ledger.read(folder / "ledger.jsonl")
        outputs = {digest(folder / f"{seed}.safetensors") for seed in range(2)}
        assert {one.output for one in entries} == outputs
        finish(folder, "verify", "--ledger", "ledger.jsonl")
