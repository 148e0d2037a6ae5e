"""The audit report: request, run and results. It does not name any forgotten sample."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, PrivateAttr

from falw_cli.audit.gate_result import GateResult
from falw_cli.evaluation.corrections import Corrections
from falw_cli.evaluation.earlier import EarlierRequests
from falw_cli.evaluation.metrics import AllMetrics, Figure, Figures, Pairs
from falw_cli.evaluation.per_sample import PerSample
from falw_cli.version import __version__


class Tool(Figures):
    """The program that wrote the report."""

    name: str = "falw"
    version: str = __version__


class Environment(Figures):
    """The environment of the run."""

    python: str
    torch: str
    device: str
    precision: str
    """Precision of the steps."""
    metrics_precision: str = "fp32"
    """Precision of all metrics."""
    threads: int
    ranks: int = 1
    """Processes that shared the run."""


class FileInput(Figures):
    """A checkpoint that was read."""

    path: str
    sha256: str
    unlearned: bool | None = None
    """Whether the metadata says that it was unlearned; None without metadata."""
    names_list: bool | None = None
    """Of the model: whether its metadata names this forget list as unlearned; None without one."""
    doubtful: bool | None = None
    """Of a reference: whether a warning says that it is no retrained model for this list."""
    made_from: list[str] = []
    """Of the model: SHA-256 of the known checkpoints that it was made from, the oldest first."""
    runs_back: int | None = None
    """Of the original: number of unlearning runs from it to the model; None if not known."""


class ListInput(Figures):
    """The forget list: the digest identifies it without revealing its content."""

    sha256: str
    count: int


class DataInput(Figures):
    """A data source, with a digest of IDs, classes and decoded pixels."""

    spec: str
    sha256: str
    count: int
    used: int
    """Number of its samples that were used for this purpose in the run."""


class Inputs(Figures):
    """Everything that was read."""

    model: FileInput
    forget_list: ListInput | None
    data: DataInput
    heldout: DataInput | None
    test: DataInput | None
    original: FileInput | None = None
    """The model before unlearning, where `falw evaluate` was given it."""
    references: list[FileInput]


class Output(Figures):
    """The checkpoint that was written."""

    path: str
    sha256: str


class Forget(Figures):
    """Sizes of the forget set."""

    count: int
    per_class: dict[str, int]
    unknown: int
    """Number of IDs missing from the training data; always 0, since such a list is refused."""
    unreadable: int = 0
    """Listed samples whose images cannot be read; they are not in `count`, and not forgotten."""
    copies: int = 0
    """Exact copies of listed samples that --with-copies put on the list; they are in `count`."""


class Moment(Figures):
    """Evaluation of the model during the run, on forget, retain and guiding held-out samples."""

    step: int
    distance: float
    """Mean absolute difference of the true-class probability from the expected one, in [0, 1]."""
    estimated_gap: float
    """Avg. Gap with the expectation and the original in place of Retrain, percentage points."""
    retain_accuracy: float
    """Percent, on a subset of the retain set, or of what replaces it with --no-retain."""
    heldout_accuracy: float
    """Percent, each held-out sample weighted by the share of its class that is retained."""
    gap: float | None
    """Avg. Gap to the references, only with `trace`; the run does not use it."""


class Probed(Figures):
    """A short run of the learning rate search; the other fields are None if it diverged."""

    lr: float
    distance: float | None
    estimated_gap: float | None
    retain_accuracy: float | None
    heldout_accuracy: float | None


class Course(Figures):
    """An epoch of the run."""

    loss: float
    """Mean over the steps of the epoch."""
    mu: float | None
    """Mean over classes of the target's mu after the epoch; None if no target was needed."""
    sigma: float | None


class Run(Figures):
    """The unlearning run."""

    steps: int
    epochs: int
    seconds: float
    peak_memory_bytes: int
    """Peak resident memory of the process; on a GPU, peak memory that torch allocated."""
    stopped_because: str
    lr: float | None = None
    """The learning rate, as requested or as found by the search."""
    probes: list[Probed] = []
    """Learning rates that --lr auto tried."""
    curve: list[Moment] = []
    """Evaluations of --stop auto."""
    course: list[Course] = []
    """The epochs of the run."""


class ClassTarget(Figures):
    """The final target distribution of a class: true-class probability of held-out samples."""

    heldout_count: int
    mu: float | None
    sigma: float | None
    fallback: str | None
    """Why the weight of the class's forget samples is 1; None if it is not."""
    rests_on: float | None = None
    """Effective number of held-out samples behind the run's estimate at its last step."""
    mu_error: float | None = None
    """Distance of the run's mu at its last step from mu over all held-out samples."""


class EpochWeights(Figures):
    """Weights of the forget samples over one epoch."""

    min: float
    mean: float
    max: float


class Rounded(Figures):
    """Accuracy change by rounding the weights, percentage points. A rise of FA means recovery."""

    forget_change: Figure | None
    test_change: Figure | None


class Relearned(Figures):
    """Effect of relearning a few forget samples on the other forget samples."""

    samples: int
    """Forget samples that were relearned."""
    goal: float
    """Accuracy of the other forget samples that counts as recovered, percent: the original's on
    them minus one point or, without the original, the model's on retain samples minus one point."""
    returned_after: int | None
    """Steps until the accuracy recovered; None if it did not within 50."""
    reference_returned_after: list[int | None]
    """`returned_after` of each Retrain model, which learns these samples for the first time."""
    excess: float
    """Largest gain of the other forget samples over that of unseen ones, percentage points."""
    reference_excess: list[float]
    """`excess` of each Retrain model."""
    curve: list[tuple[int, float, float]]
    """Steps, accuracy of the other forget samples, of unseen ones of their class mix; percent."""
    reference_curve: list[tuple[int, float, float]]
    """`curve` of the first reference."""


class Comeback(Figures):
    """Recovery of forgotten samples after rounding the weights and after relearning."""

    fp16: Rounded
    int8: Rounded
    relearned: Relearned | None


class AgainstRetrain(Figures):
    """Residual knowledge of the model, compared with that of one Retrain model."""

    forget: Figure
    """`Robustness.forget` of the Retrain model."""
    difference: Figure
    """The model's share minus the Retrain model's, percentage points."""
    ratio: float | None
    """Noisy copies that the model recognises per copy that the Retrain model recognises, mean over
    the forget samples: the paper's residual knowledge. None if the Retrain model knows no copy."""
    ratio_samples: int
    """Forget samples in the mean: the Retrain model recognises at least one copy of them."""


class Robustness(Figures):
    """Recognition of forget samples with noise: residual knowledge, arXiv 2601.22359."""

    noise: float
    """Standard deviation of the Gaussian noise on pixels in [0, 1]."""
    copies: int
    """Noisy copies per sample."""
    samples: int
    """Forget samples that were evaluated."""
    forget: Figure
    """Percent of the forget samples that the model recognises in a noisy copy, but not as such."""
    unseen: Figure | None
    """The same of unseen samples of the same class mix; None without such samples."""
    difference: Figure | None
    """`forget` minus `unseen`, percentage points."""
    references: list[AgainstRetrain]


class Report(BaseModel):
    """The audit report, `schema_version` 1. Units are percent, seconds or bytes; see each field."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    schema_version: Literal["1"] = "1"
    tool: Tool = Tool()
    created: AwareDatetime
    command: list[str]
    config: dict[str, Any]
    environment: Environment
    inputs: Inputs
    output: Output | None
    forget: Forget
    run: Run | None
    metrics: AllMetrics
    per_sample: PerSample | None = None
    """Per-sample attacks, only from `falw audit`."""
    earlier: EarlierRequests | None = None
    """Earlier requests; None if the model has none."""
    comeback: Comeback | None = None
    robustness: Robustness | None = None
    """Only with --robustness."""
    corrections: Corrections | None = None
    """Only with --correct."""
    pairs: Pairs | None = None
    """Expected and found predictions per forget sample; None without the original's."""
    target: dict[str, ClassTarget]
    weights: list[EpochWeights]
    gates: list[GateResult]
    warnings: list[str]
    ledger_line: str | None = None
    """SHA-256 of what the ledger's line says of this run; `falw verify --ledger` checks it."""
    digest: str | None = None
    """SHA-256 of the rest of the report; `falw verify` checks it."""
    _problem: str | None = PrivateAttr(None)  # what is wrong with the digest of its file

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(gate.passed for gate in self.gates)
