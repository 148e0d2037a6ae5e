"""The audit report: what was asked, what was done, what came out. It names no forgotten sample."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from falw_cli.evaluation.metrics import Changes, Comeback, Figures, Metrics, PerSample, Seeds
from falw_cli.version import __version__


class Tool(Figures):
    """What wrote the report."""

    name: str = "falw"
    version: str = __version__


class Environment(Figures):
    """Where it ran."""

    python: str
    torch: str
    device: str
    precision: str
    threads: int
    ranks: int = 1
    """Processes that shared the run."""


class FileInput(Figures):
    """A checkpoint that was read."""

    path: str
    sha256: str


class ListInput(Figures):
    """The forget list: its digest ties this report to it, and says nothing of its content."""

    sha256: str
    count: int


class DataInput(Figures):
    """A data source: digest over IDs, classes and decoded pixels."""

    spec: str
    sha256: str
    count: int
    used: int
    """Samples of it that took this part in the run."""


class Inputs(Figures):
    """Everything that was read."""

    model: FileInput
    forget_list: ListInput | None
    data: DataInput
    heldout: DataInput | None
    test: DataInput | None
    references: list[FileInput]


class Output(Figures):
    """The checkpoint that was written."""

    path: str
    sha256: str


class Forget(Figures):
    """The forget set, in numbers."""

    count: int
    per_class: dict[str, int]
    unknown: int
    """IDs that the training data does not have; always 0, since such a list is refused."""


class Moment(Figures):
    """A look at the model along the run, on forget samples and on what guides."""

    step: int
    distance: float
    """Mean 1-Wasserstein distance of true-class probability to unseen data of the class, [0, 1]."""
    estimated_gap: float
    """Avg. Gap with unseen data and the original in Retrain's place, percent: what is minimised."""
    retain_accuracy: float
    """Percent, on a sample of the retain set."""
    heldout_accuracy: float
    """Percent, each held-out sample counted by the share of its class that is retained."""
    gap: float | None
    """Avg. Gap to the references, with `trace` alone; nothing in the run looks at it."""


class Probed(Figures):
    """A short run that looked for a learning rate; without figures where it diverged."""

    lr: float
    distance: float | None
    estimated_gap: float | None
    retain_accuracy: float | None
    heldout_accuracy: float | None


class Course(Figures):
    """An epoch of the run."""

    loss: float
    """Mean over its steps."""
    mu: float | None
    """Of the target at its end, in the mean over classes; None where nothing needed one."""
    sigma: float | None


class Run(Figures):
    """How the unlearning went."""

    steps: int
    epochs: int
    seconds: float
    peak_memory_bytes: int
    """Largest resident memory of the process; on a GPU, largest memory that torch held there."""
    stopped_because: str
    lr: float | None = None
    """The learning rate, as asked for or as found."""
    probes: list[Probed] = []
    """What --lr auto tried."""
    curve: list[Moment] = []
    """What --stop auto saw."""
    course: list[Course] = []
    """Each epoch."""


class AllMetrics(Figures):
    """Metrics before and after, and of the mean Retrain reference."""

    before: Metrics | None
    after: Metrics | None
    reference: Metrics | None
    noise_floor: float | None
    """Mean Avg. Gap between two references, percentage points; None with fewer than two."""
    changes: Changes | None = None
    """None where there is no model before."""
    seeds: Seeds | None = None
    """None with fewer than two references."""


class ClassTarget(Figures):
    """The target distribution of a class at the end: true-class probability of held-out samples."""

    heldout_count: int
    mu: float | None
    sigma: float | None
    fallback: str | None
    """Why the class's forget samples weigh 1, where they do."""
    rests_on: float | None = None
    """Held-out samples that the run's estimate rested on at its last step, by effective number."""
    mu_error: float | None = None
    """How far the run's mu was from that over all held-out samples then."""


class EpochWeights(Figures):
    """Weights of the forget samples over one epoch."""

    min: float
    mean: float
    max: float


class GateResult(Figures):
    """A gate and what came of it."""

    expression: str
    value: float | None
    passed: bool

    @property
    def shown(self) -> str:
        """The value as text."""
        return "no value" if self.value is None else f"{self.value:.4g}"


class Report(BaseModel):
    """The audit report, `schema_version` 1. Percent, seconds and bytes, as the fields say."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    schema_version: Literal["1"] = "1"
    tool: Tool = Tool()
    created: datetime
    command: list[str]
    config: dict[str, Any]
    environment: Environment
    inputs: Inputs
    output: Output | None
    forget: Forget
    run: Run | None
    metrics: AllMetrics
    per_sample: PerSample | None = None
    """What `falw audit` adds."""
    comeback: Comeback | None = None
    target: dict[str, ClassTarget]
    weights: list[EpochWeights]
    gates: list[GateResult]
    warnings: list[str]
    digest: str | None = None
    """SHA-256 of all else in the report; `falw verify` holds it against what stands there."""

    @property
    def passed(self) -> bool:
        """Did every gate pass?"""
        return all(gate.passed for gate in self.gates)
