"""A worked example: a new metric is one file. CONTRIBUTING.md shows it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest

from falw_cli.audit.page import NamedReport, html, markdown
from falw_cli.audit.report import Report
from falw_cli.cli.app import run
from falw_cli.errors import RequestError
from falw_cli.evaluation import gap_metrics
from falw_cli.evaluation.gap import parse_weights
from falw_cli.evaluation.gap_metric import load_metric
from tests.extending import added

CERTAIN = '''\
"""Mean probability of the likeliest class on the test samples."""

from __future__ import annotations

from falw_cli.evaluation.predictions import Predictions, Resamples
from falw_cli.evaluation.gap_metric import Metric
from falw_cli.evaluation.intervals import Vector, means


def _draw(predictions: Predictions, resamples: Resamples) -> Vector:
    return 100 * means(resamples.test, predictions.test.top)


metric = Metric(__name__, "TC", "test confidence", _draw)
'''


@pytest.fixture
def certain(tmp_path: Path) -> Iterator[None]:
    """Add one file to the package of metrics."""
    with added(gap_metrics, "certain", CERTAIN, tmp_path):
        yield
    load_metric.cache_clear()


@pytest.fixture
def _signals() -> Iterator[None]:
    """Restore the signal handlers after a command that runs in this process."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def evaluated(
    project: Path,
    certain: None,
    _signals: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[Report, str]:
    """The report and the console table of a command that uses the metric."""
    monkeypatch.chdir(project)
    arguments = [
        "evaluate", "model.safetensors", "--forget", "ids.txt",
        "--reference", "retrain.safetensors", "--report", "new.audit.json",
        "--metrics", "certain,test_accuracy:2",
        "--gate", "avg_gap<=100", "--gate", "certain.upper<=100", "--gate", "certain<=0",
    ]  # fmt: skip
    assert run(arguments) == 1  # the last gate fails
    report = Report.model_validate_json(Path("new.audit.json").read_text())
    return report, capsys.readouterr().out


def test_a_metric_is_one_file(evaluated: tuple[Report, str]) -> None:
    report, console = evaluated
    after, truth = report.metrics.after, report.metrics.reference
    assert after is not None
    assert truth is not None
    own, other = after.extra_metrics["certain"], truth.extra_metrics["certain"]
    assert 0 < own.lower < own.value < own.upper <= 100
    accuracies = (after.test_accuracy or 0) - (truth.test_accuracy or 0)
    expected = (abs(own.value - other.value) + 2 * abs(accuracies)) / 3
    assert after.avg_gap == pytest.approx(expected)
    assert [gate.passed for gate in report.gates] == [True, True, False]
    row = next(line for line in console.splitlines() if "test confidence" in line)
    assert f"{own.value:.2f}" in row
    assert f"{other.value:.2f}" in row
    assert "test confidence" in html([NamedReport("audit", report)])
    assert f"| test confidence, % | {own.value:.2f}" in markdown([NamedReport("audit", report)])
    folder = gap_metrics.__path__.pop()  # simulates reading the report without the file
    assert "| certain | " in markdown([NamedReport("audit", report)])
    gap_metrics.__path__.append(folder)


def test_without_the_file_the_name_is_unknown() -> None:
    with pytest.raises(RequestError, match="unknown metric 'certain'"):
        parse_weights(["certain"])


def test_contributing_shows_it() -> None:
    page = Path(__file__).parents[2] / "CONTRIBUTING.md"
    assert indent(CERTAIN, "    ", lambda line: line.strip() != "") in page.read_text()
