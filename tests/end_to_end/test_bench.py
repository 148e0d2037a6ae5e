"""`falw bench`, with the installed command."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import COMMAND, clean_environment, run_falw

SMALL = """\
datasets:
  digits: {data: digits, heldout: digits, train: {epochs: 3}}
archs: [tiny-cnn]
ratios: [0.2]
gammas: [1]
seeds: [1]
search: {ratio: 0.2, factors: [0.3, 1]}
entries:
  - {methods: [match], search: false, unlearn: {trace: true, epochs: 4}}
  - {methods: [random-label], weightings: [none, falw], unlearn: {stop: epochs}}
"""
SHIPPED = Path(__file__).parents[2] / "sample_configs" / "bench-digits.yaml"


def figures(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a bench without the run times."""
    with (folder / "results.csv").open() as stream:
        return [
            {k: v for k, v in row.items() if k != "time_share"} for row in csv.DictReader(stream)
        ]


@pytest.mark.slow
def test_a_bench_from_config_to_tables_and_plots(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    planned = run_falw("bench", "small.yaml", "--dry-run", "--json", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout) == {"nets": 6, "metrics": 6, "search": 4, "cells at most": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]
    done = run_falw("bench", "small.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "small.bench"
    assert done.stdout == "small.bench/results.md\n"
    rows = figures(folder)
    assert [row["entry"] for row in rows] == [
        "original", "Retrain", "match x none", "random-label x none", "random-label x falw",
    ]  # fmt: skip
    assert "falw against none" in (folder / "results.md").read_text()
    assert (folder / "gap-along-the-run.svg").exists()
    whole = json.loads((folder / "results.json").read_text())
    assert all(moment["gap"] is not None for moment in whole["rows"][2]["curve"][1:])
    # Nothing is computed twice, and the results are the same.
    made = {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    again = run_falw("bench", "small.yaml", "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()} == made
    assert json.loads(again.stdout)["rows"] == whole["rows"]


@pytest.mark.slow
def test_a_cell_that_diverges_is_recorded_and_the_others_continue(tmp_path: Path) -> None:
    wild = "  - {methods: [gradient-ascent], search: false, unlearn: {lr: 1.0e+30, stop: epochs}}\n"
    (tmp_path / "wild.yaml").write_text(SMALL + wild)
    for _ in range(2):  # the second run reports it, too
        done = run_falw("bench", "wild.yaml", "-q", cwd=tmp_path)
        assert done.returncode == 3
        assert "1 cells failed" in done.stderr
        assert "gradient-ascent" in done.stderr
        assert len(figures(tmp_path / "wild.bench")) == 5


def test_missing_data_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").write_text(SMALL.replace("data: digits", "data: imagefolder:gone"))
    done = run_falw("bench", "gone.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "gone" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["gone.yaml"]


def test_an_impossible_cell_is_named_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(SMALL.replace("[random-label]", "[finetune]"))
    done = run_falw("bench", "bad.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "finetune" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


@pytest.mark.slow
def test_a_killed_and_restarted_bench_gives_the_same_results(tmp_path: Path) -> None:
    """Interrupt runs by SIGTERM, SIGKILL and SIGINT, then let the last one finish."""
    whole = run_falw("bench", SHIPPED, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    for number, seconds in ((signal.SIGTERM, 2), (signal.SIGKILL, 5), (signal.SIGINT, 3)):
        running = subprocess.Popen(
            [str(COMMAND), "bench", str(SHIPPED), "--out", "parts"],
            cwd=tmp_path,
            env=clean_environment(),
            stderr=subprocess.PIPE,
        )
        started = time.time()
        while not (tmp_path / "parts" / "store.json").exists() and time.time() < started + 60:
            time.sleep(0.1)  # before that, falw does not handle signals
        time.sleep(seconds + (0 if number == signal.SIGTERM else 3))
        running.send_signal(number)
        _, told = running.communicate(timeout=1200)
        if number != signal.SIGKILL:
            assert running.returncode in (128 + number, 0), told.decode()
    done = run_falw("bench", SHIPPED, "--out", "parts", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert figures(tmp_path / "parts") == figures(tmp_path / "whole")


@pytest.mark.slow
def test_two_machines_share_the_work_through_the_folder(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    one = ("--jobs", "1")  # equal thread counts, so that sums have equal digits
    alone = run_falw("bench", "small.yaml", "--out", "alone", *one, cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    job = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2"}
    both = [
        subprocess.Popen(
            [str(COMMAND), "bench", "small.yaml", "--out", "shared", *one],
            cwd=tmp_path, stdout=subprocess.PIPE, text=True,
            env=clean_environment() | job | {"RANK": rank},
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    said = [one.communicate(timeout=1200)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert said == ["shared/results.md\n", ""]
    assert figures(tmp_path / "shared") == figures(tmp_path / "alone")


def test_a_bench_takes_one_rank_per_machine(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    job = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1"}
    done = run_falw("bench", "small.yaml", cwd=tmp_path, **job)
    assert done.returncode == 2
    assert "one rank on each machine" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]
