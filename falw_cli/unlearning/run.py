"""`falw unlearn`: splits -> method x weighting -> loop -> unlearned checkpoint and audit report."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from falw_cli import checkpoint
from falw_cli.audit import gates
from falw_cli.audit.build import Occasion, all_metrics, build_report, class_targets
from falw_cli.audit.report import AllMetrics, EpochWeights, Output, Report, Run
from falw_cli.config import Config
from falw_cli.data.batches import Resident, batches_per_epoch, generator, join, resident
from falw_cli.errors import RequestError
from falw_cli.evaluation.run import Judged, measure
from falw_cli.inputs import Inputs, open_inputs
from falw_cli.network import Network, metadata
from falw_cli.progress import Progress
from falw_cli.training.interrupt import Interrupt
from falw_cli.training.loop import Outcome, Work, fit
from falw_cli.training.state import StateFile
from falw_cli.unlearning.objective import Unlearning
from falw_cli.unlearning.registry import load_method, load_weighting


@dataclass(frozen=True)
class Paths:
    """Where a run writes."""

    out: Path
    report: Path

    @classmethod
    def of(cls, config: Config) -> Paths:
        """Beside the model, named after it, unless given."""
        model = Path(config.model or "model.safetensors")
        out = (
            Path(config.out)
            if config.out
            else model.with_name(f"{model.stem}.unlearned{model.suffix}")
        )
        report = Path(config.report) if config.report else out.with_name(f"{out.stem}.audit.json")
        return cls(out, report)

    def check(self, config: Config) -> None:
        """Refuse outputs that could not be written, before the work."""
        if self.out.resolve() == self.report.resolve():
            raise RequestError(f"--out and --report are both {self.out}", "name two files")
        for path in (self.out, self.report):
            checkpoint.check_writable(path, force=config.force)


def with_method_defaults(config: Config) -> Config:
    """The config with what its base method was measured to need, where nobody said otherwise."""
    method = load_method(config.unlearn.method)
    settled = config.over({"unlearn": method.defaults})
    weighting = settled.unlearn.weighting
    if not method.uses_forget and weighting not in (None, "none"):
        raise RequestError(
            f"method {settled.unlearn.method} has no forget loss to weight",
            "leave out --weighting, or take --weighting none",
        )
    default = "falw" if method.uses_forget else "none"
    return settled.over({"unlearn": {"weighting": weighting or default}})


def unlearn(config: Config, progress: Progress, interrupt: Interrupt, occasion: Occasion) -> Report:
    """Remove the influence of the forget list, measure, and write checkpoint and report.

    Raises:
        RequestError: the request does not fit together; nothing was written.
        RunError: the run failed; nothing was written.
        Interrupted: a signal came; `--resume` goes on.
    """
    config = with_method_defaults(config)
    if config.forget is None:
        raise RequestError("--forget is missing: the IDs to forget", "give --forget ids.txt")
    paths = Paths.of(config)
    if not config.dry_run:
        paths.check(config)
    given = open_inputs(config, progress)
    config = with_method_defaults(given.config)
    network, parts = given.network, given.splits
    asked = [gates.parse(expression, network.classes) for expression in config.gate]
    device = network.fabric.device
    whole = join(resident(parts.forget, device), resident(parts.retain, device))
    cut = len(parts.forget)
    judged = Judged(_rows(whole, 0, cut), _rows(whole, cut, None), resident(parts.test, device))
    guide = resident(parts.heldout, device)
    objective = _objective(config, network, judged.forget, guide)
    work = _work(config, objective, whole, cut)
    if config.dry_run:
        plan = Run(
            steps=batches_per_epoch(len(work.data), work.recipe.batch_size) * work.recipe.epochs,
            epochs=work.recipe.epochs, seconds=0, peak_memory_bytes=0, stopped_because="dry run",
        )  # fmt: skip
        nothing = AllMetrics(before=None, after=None, reference=None, noise_floor=None)
        return build_report(config, given, occasion, progress, run=plan, metrics=nothing)
    references = [measure(reference, judged, config.seed) for reference in given.references]
    before = measure(network, judged, config.seed)
    states = StateFile(
        paths.out.with_name(paths.out.name + ".state"), _fingerprint(config, given), config.resume
    )
    outcome = fit(network, work, objective, progress, interrupt, states)
    # What is written is what is measured: in the dtypes that the checkpoint had.
    tensors = checkpoint.like(network.module, given.source)
    network.module.load_state_dict(tensors)
    after = measure(network, judged, config.seed)
    content = checkpoint.to_bytes(
        tensors,
        metadata(
            network,
            recipe=given.source.metadata.recipe if given.source.metadata else None,
            parent=given.source.sha256,
            unlearned={"seed": config.seed, **config.unlearn.model_dump(mode="json")},
        ),
        given.source.prefix,
    )
    report = build_report(
        config,
        given,
        occasion,
        progress,
        run=_run(outcome, device),
        metrics=all_metrics(before, after, references),
        output=Output(path=str(paths.out), sha256=hashlib.sha256(content).hexdigest()),
        target=class_targets(network, guide),
        weights=[
            EpochWeights(min=e[0], mean=e[1], max=e[2])
            for e in (epoch.tolist() for epoch in objective.epochs)
        ],
        asked=asked,
    )
    text = report.model_dump_json(indent=2) + "\n"
    checkpoint.write_all({paths.out: content, paths.report: text.encode()})
    states.remove()
    return report


def _rows(data: Resident, begin: int, end: int | None) -> Resident:
    return Resident(data.pixels[begin:end], data.labels[begin:end])


def _objective(config: Config, network: Network, forget: Resident, guide: Resident) -> Unlearning:
    number = len(network.classes)
    recipe = config.unlearn
    method = load_method(recipe.method)(forget.labels, number, generator(config.seed, 3))
    counts = torch.bincount(forget.labels, minlength=number)
    assert recipe.weighting is not None  # settled by with_method_defaults
    weighting = load_weighting(recipe.weighting)(counts, number, recipe.tau)
    if weighting.needs_target and not len(guide):
        raise RequestError(
            f"weighting {recipe.weighting} needs held-out data to guide it",
            "give --heldout, or take --weighting none",
        )
    return Unlearning(method, weighting, guide, recipe.target_every)


def _work(config: Config, objective: Unlearning, whole: Resident, cut: int) -> Work:
    """The samples that the method looks at: both sets, or one of them."""
    method, recipe = objective.method, config.unlearn
    data, forget = whole, cut
    if not method.uses_retain:
        data = _rows(whole, 0, cut)
    elif not method.uses_forget:
        data, forget = _rows(whole, cut, None), 0
    label = f"{recipe.method} x {recipe.weighting}"
    return Work(data, forget, recipe, config.seed, label)


def _fingerprint(config: Config, given: Inputs) -> str:
    """What a saved state belongs to: model, list, data and everything that was asked."""
    left_out = {"out", "report", "force", "resume", "cache", "gate", "reference", "forget"}
    asked = config.model_dump(mode="json", exclude=left_out)
    rows = hashlib.sha256(given.splits.forget.pixels.tobytes()).hexdigest()
    read = {key: given.described[key] for key in ("model", "data", "heldout")}
    return hashlib.sha256(json.dumps([asked, rows, read]).encode()).hexdigest()


def _run(outcome: Outcome, device: torch.device) -> Run:
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
    else:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Run(
        steps=outcome.steps,
        epochs=outcome.epochs,
        seconds=outcome.seconds,
        peak_memory_bytes=peak,
        stopped_because=outcome.stopped_because,
    )
