"""`falw bench`, with the installed command."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import at_once
from tests.conftest import clean_environment, falw

SHIPPED = Path(__file__).parents[2] / "sample_configs" / "bench-digits.yaml"
SMALL = SHIPPED.read_text()
for old, new in (
    ("seeds: [1, 2]", "seeds: [1]"), ("{epochs: 6,", "{epochs: 3,"),
    ("heldout: digits\n", "heldout: digits\n    per_class: {data: [0, 30], heldout: [0, 30]}\n"),
    ("stop: epochs}", "stop: epochs, epochs: 2}"),
):  # fmt: skip
    assert old in SMALL
    SMALL = SMALL.replace(old, new)
WILD = "  - {methods: [gradient-ascent], search: false, unlearn: {lr: 1.0e+30, stop: epochs}}\n"


def figures(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a bench without the run times."""
    with (folder / "results.csv").open() as stream:
        return [
            {k: v for k, v in row.items() if k != "time_share"} for row in csv.DictReader(stream)
        ]


def bench(folder: Path, *more: str, config: str = SMALL) -> subprocess.CompletedProcess[str]:
    """Run the bench in one process: with equal thread counts, sums have equal digits."""
    (folder / "small.yaml").write_text(config)
    return falw("bench", "small.yaml", "--jobs", "1", *more, cwd=folder)


@pytest.mark.slow
def test_a_bench_in_one_run_shared_and_killed(tmp_path: Path) -> None:
    """Run it whole, then on two machines, then killed and restarted: the same results.

    They are one test because they compare with the same run, which takes a minute.
    """
    planned = bench(tmp_path, "--dry-run", "--json")
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout) == {"nets": 6, "metrics": 6, "search": 4, "cells at most": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]
    done = bench(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "small.bench/results.md\n"
    folder = tmp_path / "small.bench"
    check_results(folder)
    check_that_nothing_is_computed_twice(tmp_path, folder)
    share(tmp_path, "shared")
    kill_and_restart(tmp_path, "parts")
    for name in ("shared", "parts"):
        assert figures(tmp_path / name) == figures(folder), name
    check_a_cell_that_diverges(tmp_path)


def check_results(folder: Path) -> None:
    assert [row["entry"] for row in figures(folder)] == [
        "original", "Retrain", "match x none", "random-label x none", "random-label x falw",
    ]  # fmt: skip
    assert "falw against none" in (folder / "results.md").read_text()
    assert (folder / "gap-along-the-run.svg").exists()
    whole = json.loads((folder / "results.json").read_text())
    assert all(moment["gap"] is not None for moment in whole["rows"][2]["curve"][1:])


def check_that_nothing_is_computed_twice(place: Path, folder: Path) -> None:
    before = json.loads((folder / "results.json").read_text())
    made = {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    again = bench(place, "--json")
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()} == made
    assert json.loads(again.stdout)["rows"] == before["rows"]


def start(place: Path, out: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(at_once.command()), "bench", "small.yaml", "--jobs", "1", "--out", out], cwd=place,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=clean_environment() | environment,
    )  # fmt: skip


def share(place: Path, out: str) -> None:
    """Run the bench on two machines, which share the work through the folder."""
    job = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2"}
    both = [start(place, out, **job, RANK=rank) for rank in ("0", "1")]
    said = [one.communicate(timeout=1200)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert said == [f"{out}/results.md\n", ""]


def kill_and_restart(place: Path, out: str) -> None:
    """Interrupt runs by SIGTERM, SIGKILL and SIGINT, then let the last one finish."""
    for number, seconds in ((signal.SIGTERM, 1), (signal.SIGKILL, 4), (signal.SIGINT, 3)):
        running = start(place, out)
        started = time.time()
        while not (place / out / "store.json").exists() and time.time() < started + 60:
            time.sleep(0.1)  # before that, falw does not handle signals
        time.sleep(seconds)
        running.send_signal(number)
        _, told = running.communicate(timeout=1200)
        if number != signal.SIGKILL:
            assert running.returncode in (128 + number, 0), told
    done = bench(place, "--out", out)
    assert done.returncode == 0, done.stderr


def check_a_cell_that_diverges(place: Path) -> None:
    """The cell is recorded, the others continue, and the second run reports it, too."""
    for _ in range(2):
        done = bench(place, "-q", config=SMALL + WILD)
        assert done.returncode == 3
        assert "1 cell failed" in done.stderr
        assert "gradient-ascent" in done.stderr
        assert len(figures(place / "small.bench")) == 5


def test_missing_data_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").write_text(SMALL.replace("data: digits", "data: imagefolder:gone"))
    done = falw("bench", "gone.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "gone" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["gone.yaml"]


def test_an_impossible_cell_is_named_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(SMALL.replace("[random-label]", "[finetune]"))
    done = falw("bench", "bad.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "finetune" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_a_bench_takes_one_rank_per_machine(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    job = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1"}
    done = falw("bench", "small.yaml", cwd=tmp_path, **job)
    assert done.returncode == 2
    assert "one rank on each machine" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]
