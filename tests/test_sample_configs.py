"""Every shipped config loads and is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from falw_cli.bench.plan import entries, read, scenarios, search_scenarios
from falw_cli.config.resolution import resolve

FOLDER = Path(__file__).parents[1] / "sample_configs"
BENCHES = sorted(FOLDER.glob("bench-*.yaml"))
CONFIGS = sorted(set(FOLDER.glob("*.yaml")) - set(BENCHES))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_it_loads_for_every_command(file: Path) -> None:
    for command in ("train", "unlearn", "evaluate"):
        config = resolve(command, {}, file)
        assert config.arch
        assert config.data
        assert config.heldout


@pytest.mark.parametrize("file", BENCHES, ids=lambda file: file.name)
def test_a_bench_loads_and_its_cells_are_possible(file: Path) -> None:
    bench = read(file)
    rows = entries(bench)
    assert "match" in {row.method for row in rows}
    assert list(scenarios(bench))
    assert list(search_scenarios(bench))


def test_the_benchmarks_load_too() -> None:
    for file in (FOLDER.parent / "benchmarks").glob("*.yaml"):
        assert entries(read(file))
