"""`falw verify`: check that a report, and all files and samples it names, are unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from falw_cli.audit import gates, seal
from falw_cli.audit.report import FileInput, Report
from falw_cli.audit.verdict import NO_SHARE
from falw_cli.config.paths import similar
from falw_cli.config.settings import Config
from falw_cli.data import ledger
from falw_cli.errors import RequestError
from falw_cli.evaluation.full_audit import full_audit
from falw_cli.evaluation.gap import parse_weights
from falw_cli.evaluation.metrics import AllMetrics, Pairs
from falw_cli.evaluation.predictions import EvaluationSamples, Predictions
from falw_cli.models import architectures, checkpoint_files
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.models.inputs import Inputs, open_inputs
from falw_cli.models.network import Network, build_network, network_spec, with_metadata
from falw_cli.runs import claims
from falw_cli.runs.inspection import as_report, read_content
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.journal import is_present
from falw_cli.runtime.progress import Progress
from falw_cli.unlearning.forgotten_share import expected_from, reason_for_no_share


@dataclass(frozen=True)
class Check:
    """Result of one check; `problem` says what is wrong, or is None."""

    name: str
    problem: str | None = None
    state: str = "unchanged"
    """What was found if there is no problem."""


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


@dataclass(frozen=True)
class Verification:
    """Results of all checks, and the report whose figures the verdict is based on."""

    checks: list[Check]
    report: Report | None
    """None if the report itself was changed, so that its figures prove nothing."""
    measured_again: bool
    """Whether the figures in `report` are those of the rerun."""


def verify(request: VerifyRequest, progress: Progress) -> Verification:
    """Recompute the digests of a report, its files and its samples, and on request its metrics.

    Raises:
        RequestError: the file cannot be read as a report, or the given list does not exist.
    """
    if request.forget and not Path(request.forget).is_file():
        hint = f"{similar(request.forget)}check the path after --forget"
        raise RequestError(f"no forget list {request.forget}", hint)
    content = read_content(request.report)
    report = as_report(content, request.report)
    sealed = seal.problem(content)
    checks = [Check("report", sealed or _formatted(content, request.report))]
    for name, file in _files(report):
        checks.append(Check(name, _differs(file)))
    listed = report.inputs.forget_list
    path = request.forget or report.config.get("forget")
    if listed:
        checks.append(Check("forget list", _list_differs(path, listed.sha256)))
    if report.config.get("ledger"):
        checks.append(Check("ledger", *_ledger(report)))
    again = None
    if any(check.problem for check in checks[1:]):
        why = "not checked: the files above are not those of the run"
        checks += [Check(name, why) for name in _skipped(report, request)]
    else:
        more, again = _samples(report, content, request, progress)
        checks += more
    if again is not None:
        return Verification(checks, again, measured_again=True)
    return Verification(checks, None if sealed else report, measured_again=False)


def _formatted(content: dict[str, Any], path: Path) -> str | None:
    same = path.read_text(encoding="utf-8") == seal.text_of(content)
    return None if same else "was rewritten by another program: its formatting is not falw's"


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
    found = checkpoint_files.digest(Path(str(path)))
    return None if found == expected else f"{path} is not the list of the run"


def _ledger(report: Report) -> tuple[str | None, str]:
    """Return what is wrong with the ledger of the run, and its state."""
    path = Path(str(report.config["ledger"]))
    if not is_present(path.resolve()):
        return f"{path} does not exist; run falw verify where the report was made", ""
    try:
        entries = ledger.read(path)
    except RequestError as error:
        return str(error), ""
    if report.ledger_line is None:
        return None, "its lines follow each other"
    if all(one.of_run != report.ledger_line for one in entries):
        return f"{path} does not hold the line of this run", ""
    return None, "holds the line of this run"


def _sources(report: Report) -> dict[str, Any]:
    """Return the report's data sources by name."""
    inputs = report.inputs
    named = {"data": inputs.data, "heldout": inputs.heldout, "test": inputs.test}
    return {name: source for name, source in named.items() if source is not None}


def _skipped(report: Report, request: VerifyRequest) -> list[str]:
    """Return the names of the checks that need the samples."""
    return [*_sources(report), *(["metrics"] if request.rerun else [])]


def _samples(
    report: Report, content: dict[str, Any], request: VerifyRequest, progress: Progress
) -> tuple[list[Check], Report | None]:
    """Decode the samples again, and compare their digests and metrics with the report's.

    Returns:
        The checks, and the report with the figures of the rerun, if there was one.
    """
    try:
        config = _config(report, request)
        # Later runs of the ledger left out other samples than this one.
        inputs = open_inputs(config, progress, make_fabric(config), until=report.created)
    except RequestError as error:
        return [Check(name, str(error)) for name in _skipped(report, request)], None
    checks = []
    for name, source in _sources(report).items():
        found = inputs.described[name]
        same = found is not None and found["sha256"] == source.sha256
        checks.append(Check(name, None if same else "contains other samples than in the run"))
    output = report.output
    written = checkpoint_files.read(output.path, inputs.config.weights) if output else None
    said = written.metadata if written and request.rerun else None
    complete = claims.is_complete(report)
    off = claims.metadata_differs(content["inputs"], inputs.described, complete=complete)
    if off := off + claims.output_differs(report, said):
        checks.append(Check("metadata", claims.listed(off)))
    if not request.rerun:
        return checks, None
    off = claims.counts_differ(content, inputs, complete=complete)
    checks.append(Check("counts", claims.listed(off)))
    found, pairs, warnings = _measured(inputs, written)
    if off := claims.warnings_differ(report, warnings):
        checks.append(Check("warnings", claims.listed(off)))
    kept = [one for one in report.warnings if not one.startswith(NO_SHARE)]
    again = report.model_copy(
        update={
            "metrics": found,
            "pairs": pairs,
            "earlier": None,
            "warnings": [*kept, *warnings],
        }
    )
    names = dict.fromkeys([*claims.wanted_gates(again), *(one.expression for one in report.gates)])
    wanted = [gates.parse(name, inputs.network.classes) for name in names]
    again = again.model_copy(update={"gates": [gates.evaluate(one, again) for one in wanted]})
    claimed, measured = content["metrics"], again.metrics.model_dump(mode="json")
    off = claims.differences(claimed, measured, complete=complete)
    off += claims.gates_differ(wanted, report.gates, again.gates)
    off += claims.pairs_differ(content, pairs, complete=complete) + claims.sections_missing(report)
    checks.append(Check("metrics", claims.listed(off)))
    lacking = [] if complete else list(claims.missing(claimed, measured))
    return [*checks, Check("not checked", state=claims.not_checked(report, lacking))], again


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


def _measured(
    inputs: Inputs, written: Checkpoint | None
) -> tuple[AllMetrics, Pairs | None, list[str]]:
    """Measure all figures and pairs of the report's models again; return the warnings too.

    Args: inputs, those of the run; written, the checkpoint that it wrote, if it wrote one.
    """
    models, expected = [_predictions(inputs.network, inputs)], None
    if written:
        models.append(_predictions(_network(written, inputs), inputs))
        expected = expected_from(inputs.network, inputs.splits)
    references = [_predictions(network, inputs) for network in inputs.references]
    before = models[0] if written else None
    if inputs.original:
        before = _predictions(inputs.original, inputs)
        expected = expected_from(inputs.original, inputs.splits)
    weights = parse_weights(inputs.config.metrics)
    found = full_audit(before, models[-1], references, weights, expected)
    after, warnings = found.metrics.after, list(found.warnings)
    if before and len(inputs.splits.forget) and after and after.forgotten_share is None:
        warnings.append(reason_for_no_share(expected, found.metrics.before))
    pairs = expected.pairs(models[-1].forget.prob) if expected else None
    return found.metrics, pairs, warnings


def _predictions(network: Network, inputs: Inputs) -> Predictions:
    judged = EvaluationSamples.of(inputs.splits, network.fabric.device)
    return Predictions.of(network, judged, inputs.config.seed)


def _network(source: Checkpoint, inputs: Inputs) -> Network:
    """Return the network of the checkpoint that the run wrote."""
    shown, classes = inputs.network.preprocessing, inputs.network.classes
    spec, source = network_spec(with_metadata(inputs.config, source), source)
    return build_network(spec, source, classes, shown, inputs.network.fabric)
