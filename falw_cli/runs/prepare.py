"""Opening of a run: its inputs are checked for consistency, its outputs are reserved."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from falw_cli.audit import gates
from falw_cli.config.flags import flag_of
from falw_cli.config.settings import Config
from falw_cli.data.opening import parse_spec
from falw_cli.errors import RequestError
from falw_cli.evaluation.gap import parse_weights
from falw_cli.models import checkpoint_files
from falw_cli.models.folder import CONFIG
from falw_cli.models.inputs import Inputs, open_inputs
from falw_cli.runtime import outputs
from falw_cli.runtime.collectives import agreed, rank_zero_first
from falw_cli.runtime.extras import need
from falw_cli.runtime.printable import counted
from falw_cli.runtime.progress import Progress
from falw_cli.training.state import settings
from falw_cli.unlearning.resolution import complete
from falw_cli.unlearning.run_data import RunData

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PAGES = (".html", ".htm", ".md", ".xml", ".pdf")
"""Suffixes of what `falw report` or a browser makes of a report."""


@dataclass(frozen=True)
class Paths:
    """Output paths of a run."""

    out: Path
    report: Path

    @classmethod
    def of(cls, config: Config) -> Paths:
        """Return the paths; by default beside the model and named after it."""
        model = Path(config.model or "model.safetensors")
        out = Path(config.out) if config.out else checkpoint_files.default_out(model, "unlearned")
        if not out.name:
            raise RequestError(f"--out {out} is a folder", "name a file or a new folder")
        stem = out.name[: len(out.name) - len(checkpoint_files.suffix(out))]
        report = out.with_name(f"{stem}.audit.json")
        report = json_report(config.report) if config.report else report
        return cls(out, report)

    @staticmethod
    def is_folder(out: Path) -> bool:
        """Return whether the checkpoint is a folder, as those of timm and transformers."""
        return not checkpoint_files.suffix(out)

    @property
    def page(self) -> Path:
        """Path of the report as an HTML page."""
        return self.report.with_suffix(".html")

    def claimed(self, config: Config) -> AbstractContextManager[None]:
        """Check before the work that the outputs can be written; reserve them for a real run."""
        if self.out.resolve() == self.report.resolve():
            raise RequestError(f"--out and --report are both {self.out}", "name different files")
        refuse_inputs(config, [self.out, self.report])
        if config.ledger:
            outputs.check_log(Path(config.ledger))
        pages = [self.page] if config.html else []
        folder = self.out if self.is_folder(self.out) else None
        out = self.out / CONFIG if folder else self.out
        files = [out, self.report, *pages]
        if config.dry_run:
            outputs.check_claim(files, force=config.force, folder=folder)
            return nullcontext()
        return outputs.claimed(files, force=config.force, folder=folder)


def json_report(path: str) -> Path:
    """Return the path of a report.

    Raises:
        RequestError: it has the suffix of a page: the report itself is JSON.
    """
    found = Path(path)
    if found.suffix.lower() in PAGES:
        raise RequestError(
            f"--report {path}: the report is JSON",
            f"name it {found.stem}.json; `falw report` makes a page of it",
        )
    return found


def refuse_inputs(config: Config, written: list[Path]) -> None:
    """Refuse outputs that are inputs: they would be lost.

    Raises:
        RequestError: an output is the model, a list, the original, a reference, the ledger, or a
            file that holds the data.
    """
    sources = [one for one in (config.data, config.heldout, config.test) if one]
    read = [
        config.model or "model.safetensors", config.forget, config.original, *config.reference,
        *config.forgotten, config.ledger, config.metadata, config.heldout_metadata,
        *(parse_spec(one, "train").location for one in sources),
    ]  # fmt: skip
    inputs = {Path(one).resolve() for one in read if one not in (None, "-")}
    for one in written:
        if one.resolve() in inputs:
            raise RequestError(f"{one} is an input of this run", "give another output file")


@dataclass(frozen=True)
class OpenedRun:
    """A run with a consistent request and reserved outputs."""

    config: Config
    paths: Paths
    inputs: Inputs
    run_data: RunData
    wanted_gates: list[gates.Gate]


def open_request(config: Config, progress: Progress, fabric: Fabric, held: ExitStack) -> OpenedRun:
    """Open and check the request; closing `held` releases the outputs."""
    paths = Paths.of(config)
    if config.html:  # fail before the work
        need("matplotlib", "report", "--html")
    with agreed(fabric), rank_zero_first(fabric):
        if fabric.is_global_zero:
            held.enter_context(paths.claimed(config))
        inputs = open_inputs(config, progress, fabric, complete, starts_run=True)
        _warn_of_earlier(inputs, progress)
        checkpoint_files.check_output(paths.out, inputs.source)
        config = inputs.config
        parse_weights(config.metrics)  # fail before the work
        wanted_gates = [
            gates.parse(expression, inputs.network.classes) for expression in config.gate
        ]
        return OpenedRun(config, paths, inputs, RunData.of(config, inputs), wanted_gates)


def _warn_of_earlier(inputs: Inputs, progress: Progress) -> None:
    """Warn of what this run does with earlier requests that nobody asked for."""
    earlier = inputs.data.earlier
    if earlier.again:
        progress.warn(
            f"IDs of the forget list that are on an earlier list too: {earlier.again}; they are "
            "unlearned again"
        )
    if others := earlier.of_others:
        known = inputs.source.metadata or any(one.of_this_model for one in earlier.requests)
        why = "this model was not made to forget" if known else (
            "this model is not known to have been made to forget (the checkpoint has no metadata, "
            "and no line of the ledger has its digest as output)"
        )  # fmt: skip
        progress.warn(
            f"requests of the ledger that {why}: {len(others)}; "
            f"{counted(len(np.unique(np.concatenate(others))), 'sample')} in the data are left out "
            "of this run, not forgotten by it"
        )
    if any(one.source == "process" for one in earlier.requests):
        progress.warn(
            "the model was unlearned before by this program: samples of the earlier request are "
            "neither forget nor retain samples"
        )


def belongs_to(config: Config, inputs: Inputs) -> dict[str, str]:
    """Return what identifies the run of a saved state: model, list, data and settings."""
    others = {key for key, field in Config.model_fields.items() if not flag_of(field).of_run}
    values = config.model_dump(mode="json", exclude=others)
    rows = inputs.splits.forget.rows.tobytes()
    digests = {"forget list": hashlib.sha256(rows).hexdigest()}
    digests["earlier lists"] = hashlib.sha256(inputs.data.earlier.rows.tobytes()).hexdigest()
    guides = inputs.splits.heldout.rows.tobytes()  # also decided by a column, with --group
    digests["guiding half"] = hashlib.sha256(guides).hexdigest()
    for name in ("model", "data", "heldout"):
        found = inputs.described[name]
        digests[name] = found["sha256"] if found else "none"
    return settings(values) | digests  # digests replace the SPECs: the content is what counts
