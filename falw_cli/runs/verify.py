"""`falw verify`: check that a report, and all files and samples it names, are unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from falw_cli.audit import seal
from falw_cli.audit.report import FileInput, Output, Report
from falw_cli.config.settings import Config
from falw_cli.data import forget_list
from falw_cli.errors import RequestError
from falw_cli.evaluation.full_audit import full_audit
from falw_cli.evaluation.gap import parse_weights
from falw_cli.evaluation.predictions import EvaluationSamples, Predictions
from falw_cli.models import architectures, checkpoint_files
from falw_cli.models.inputs import Inputs, open_inputs
from falw_cli.models.network import Network, build_network, network_spec, with_metadata
from falw_cli.runs.inspection import read_report
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.progress import Progress
from falw_cli.unlearning.forgotten_share import expected_from

SAME = 0.01
"""Tolerance for figures that are measured again, since other machines sum in another order. In the
unit of the figure, mostly percentage points."""


@dataclass(frozen=True)
class Check:
    """Result of one check; `problem` says what is wrong, or is None."""

    name: str
    problem: str | None = None


@dataclass(frozen=True)
class VerifyRequest:
    """Request to verify a report."""

    report: Path
    forget: str | None = None
    """Path of the forget list, if it is not where the report says."""
    rerun: bool = False
    """Whether to measure the metrics again."""
    trust_code: bool = False
    """Whether an architecture that the report names may be imported as code."""


def verify(request: VerifyRequest, progress: Progress) -> list[Check]:
    """Recompute the digests of a report, its files and its samples, and on request its metrics.

    Raises:
        RequestError: the file cannot be read as a report.
    """
    report = read_report(request.report)
    checks = [_report(report, request.report)]
    for name, file in _files(report):
        checks.append(Check(name, _differs(file)))
    listed = report.inputs.forget_list
    path = request.forget or report.config.get("forget")
    if listed:
        checks.append(Check("forget list", _list_differs(path, listed.sha256)))
    if any(check.problem for check in checks[1:]):
        why = "not checked: the files above are not those of the run"
        return [*checks, *(Check(name, why) for name in _sources(report))]
    return [*checks, *_samples(report, request, progress)]


def _report(report: Report, path: Path) -> Check:
    problem = None
    if report.digest is None:
        problem = "has no digest: it was written by an older falw"
    elif report.digest != seal.digest(report):
        problem = "was changed after it was written"
    elif path.read_text(encoding="utf-8") != seal.to_text(report):
        problem = "was rewritten by another program: its formatting is not falw's"
    return Check("report", problem)


def _files(report: Report) -> Iterator[tuple[str, FileInput]]:
    yield "model", report.inputs.model
    if report.inputs.original:
        yield "original", report.inputs.original
    for reference in report.inputs.references:
        yield f"reference {reference.path}", reference
    if report.output:
        yield "output", FileInput(path=report.output.path, sha256=report.output.sha256)


def _differs(file: FileInput) -> str | None:
    path = Path(file.path)
    if not path.exists():
        return f"{path} does not exist; run falw verify where the report was made"
    same = checkpoint_files.digest(path) == file.sha256
    return None if same else f"{path} is not the file of the run"


def _list_differs(path: str | None, expected: str) -> str | None:
    if path in (None, "-") or not Path(str(path)).is_file():
        return "does not exist; name the list with --forget FILE"
    found = forget_list.read(str(path)).sha256
    return None if found == expected else f"{path} is not the list of the run"


def _sources(report: Report) -> dict[str, Any]:
    """Return the report's data sources by name."""
    inputs = report.inputs
    named = {"data": inputs.data, "heldout": inputs.heldout, "test": inputs.test}
    return {name: source for name, source in named.items() if source is not None}


def _samples(report: Report, request: VerifyRequest, progress: Progress) -> list[Check]:
    """Decode the samples again, and compare their digests and metrics with the report's."""
    try:
        config = _config(report, request)
        inputs = open_inputs(config, progress, make_fabric(config))
    except RequestError as error:
        return [Check(name, str(error)) for name in _sources(report)]
    checks = []
    for name, source in _sources(report).items():
        found = inputs.described[name]
        same = found is not None and found["sha256"] == source.sha256
        checks.append(Check(name, None if same else "contains other samples than in the run"))
    if request.rerun:
        checks.append(Check("metrics", _metrics_differ(report, inputs)))
    return checks


def _config(report: Report, request: VerifyRequest) -> Config:
    try:
        config = Config.model_validate(report.config)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RequestError(f"the config is invalid: {where}: {first['msg']}", "") from error
    if config.arch and architectures.is_code(config.arch) and not request.trust_code:
        raise RequestError(f"asks to import code: {config.arch!r}; allow it with --trust-code", "")
    # One process is enough to verify, whatever number of processes the run used.
    alone = {"devices": None, "nodes": 1, "dry_run": False}
    return config.model_copy(update={"forget": request.forget or config.forget, **alone})


def _metrics_differ(report: Report, inputs: Inputs) -> str | None:
    """Measure all figures of the report's models again; return the differences, or None."""
    models, expected = [_predictions(inputs.network, inputs)], None
    if report.output:
        written = _written(report.output, inputs)
        models.append(_predictions(written, inputs))
        expected = expected_from(inputs.network, inputs.splits)
    references = [_predictions(network, inputs) for network in inputs.references]
    before = models[0] if report.output else None
    if inputs.original:
        before = _predictions(inputs.original, inputs)
        expected = expected_from(inputs.original, inputs.splits)
    weights = parse_weights(inputs.config.metrics)
    found = full_audit(before, models[-1], references, weights, expected).metrics
    claimed = dict(_leaves(report.metrics.model_dump()))
    again = dict(_leaves(found.model_dump()))
    off = [
        f"{name} is {again.get(name)}, the report says {value}"
        for name, value in claimed.items()
        if not _same(again.get(name), value)
    ]
    more = f" (and {len(off) - 3} more)" if len(off) > 3 else ""
    return "; ".join(off[:3]) + more or None


def _predictions(network: Network, inputs: Inputs) -> Predictions:
    judged = EvaluationSamples.of(inputs.splits, network.fabric.device)
    return Predictions.of(network, judged, inputs.config.seed)


def _written(output: Output, inputs: Inputs) -> Network:
    """Return the network that the run wrote."""
    source = checkpoint_files.read(output.path, inputs.config.weights)
    shown, classes = inputs.network.preprocessing, inputs.network.classes
    spec, source = network_spec(with_metadata(inputs.config, source), source)
    return build_network(spec, source, classes, shown, inputs.network.fabric)


def _leaves(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted name and value of every entry of a report."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(content, list | tuple):
        for number, value in enumerate(content):
            yield from _leaves(value, f"{prefix}.{number}")
    else:
        yield prefix, content


def _same(found: Any, claimed: Any) -> bool:
    if isinstance(found, float) and isinstance(claimed, float):
        return abs(found - claimed) <= SAME
    return bool(found == claimed)
