"""The tables of a bench, from rows with known values."""

from __future__ import annotations

from pathlib import Path

from falw_cli.bench.plan import Bench
from falw_cli.bench.plots import draw
from falw_cli.bench.results import Row, markdown, spread, versus

BENCH = Bench.model_validate(
    {
        "datasets": {"digits": {"data": "digits", "heldout": "digits"}},
        "archs": ["tiny-cnn"], "ratios": [0.1], "gammas": [1], "seeds": [1, 2],
        "entries": [{"methods": ["match"]}],
    }
)  # fmt: skip


def row(entry: str, seed: int, gap: float, tail: float = 1.0, **more: object) -> Row:
    method, _, weighting = entry.partition(" x ")
    given: dict[str, object] = {
        "dataset": "digits", "arch": "tiny-cnn", "ratio": 0.1, "gamma": 1.0, "seed": seed,
        "entry": entry, "method": method, "weighting": weighting, "lr": 0.1,
        "forget_accuracy": 80.0, "retain_accuracy": 99.0, "test_accuracy": 70.0,
        "mia_efficacy": 20.0, "avg_gap": gap, "head": 0.0, "mid": 0.5, "tail": tail, "steps": 10,
        "time_share": 5.0, "stopped_because": "",
        "curve": ({"step": 0, "gap": None}, {"step": 10, "gap": gap}),
    }  # fmt: skip
    return Row(**{**given, **more})  # type: ignore[arg-type]


ROWS = [
    row("original", 1, 15.0), row("original", 2, 17.0),
    row("Retrain", 1, 0.5), row("Retrain", 2, 0.7),
    row("a x none", 1, 3.0, 2.0), row("a x none", 2, 5.0, -3.0),
    row("a x falw", 1, 2.0, 1.0), row("a x falw", 2, 2.0, 1.0),
    row("b x none", 1, 2.2), row("b x none", 2, 2.4),
]  # fmt: skip


def test_paired_differences_by_hand() -> None:
    """For a, falw minus none is -1 and -3, beyond the noise floor of 0.6; tail: -1 and -2."""
    lines = versus(ROWS)
    found = next(line for line in lines if line.startswith("| a |"))
    assert found == "| a | -2.00 ± 1.41 | -2.00 ± 1.41 | -1.50 ± 0.71 |"
    assert not any(line.startswith("| b |") for line in lines)


def test_a_difference_within_the_noise_floor_is_marked() -> None:
    near = [row("a x none", 1, 2.0), row("a x falw", 1, 2.3), row("Retrain", 1, 0.5)]
    assert "~0.30" in "\n".join(versus(near))


def test_rows_are_sorted_and_starred_within_the_noise_floor() -> None:
    lines = markdown(BENCH, ROWS)
    assert "| entry | FA | RA | TA | MIA | Avg. Gap | head | mid | tail | time |" in lines
    names = [
        line.split(" | ")[0].strip("| ") for line in lines if line.startswith("| ") and "±" in line
    ][:5]
    assert names == ["a x falw", "b x none", "a x none", "original", "Retrain"]
    starred = [line for line in lines if " *" in line and line.startswith("|")]
    assert len(starred) == 2  # 2.0, and 2.3, which is within 0.6 of it; not 4.0


def test_spread() -> None:
    assert spread([1.0, 3.0, None]) == "2.00 ± 1.41"
    assert spread([None]) == "–"
    assert spread([1.0]) == "1.00"


def test_plots_are_reproducible(tmp_path: Path) -> None:
    rows = [*ROWS, row("a x falw, tau 0", 1, 2.1)]
    pictures = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        draw(tmp_path / name, rows)
        files = sorted((tmp_path / name).iterdir())
        pictures.append({file.name: file.read_bytes() for file in files})
    assert set(pictures[0]) == {
        "gap-by-gamma-10.svg", "deviation-10.svg", "gap-by-time-10.svg", "gap-along-the-run.svg",
        "balance-factor.svg",
    }  # fmt: skip
    assert pictures[0] == pictures[1]
