"""Results of per-sample attacks with shadow models, in the report."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from falw_cli.evaluation.metrics import Attack, Figure, Figures


class SampleAttack(Attack):
    """A per-sample attack with shadow models; each of these is attacked with the others."""

    distinguished: Figure = Field(validation_alias=AliasChoices("distinguished", "told"))
    """Forget samples that the attack on the audited model calls unlearned rather than never seen,
    percent, at 1 % false positives: 1 is chance."""


class Evidence(Figures):
    """Evidence that a model learned a sample, from shadow models that did and that did not."""

    log_ratio: float
    """Log-likelihood ratio, learned to never seen, nats: above 0 speaks for learned."""
    membership: float
    """Posterior probability that the sample was learned, percent; the prior is one half. It is
    limited to what so many models can show: at most 100 / (1 + F), where F is the false-positive
    rate as a fraction."""
    false_positive_rate: float
    """Share of models that never saw the sample with at least this `log_ratio`, percent. The
    audited model counts as one of them, so that the share is not below what can be shown."""
    upper: float
    """Exact 95 % upper bound of `false_positive_rate`, percent."""


class SampleEvidence(Figures):
    """Evidence on one sample of a short list."""

    position: int
    """Position in the forget list, from 1; blank lines, comments and repeated IDs do not count."""
    before: Evidence | None
    """In the original: learned or never seen. None without `--original`."""
    after: Evidence
    """In the audited model: unlearned or never seen."""


class PerSample(Figures):
    """Attacks with shadow models.

    For a list of more than 20 samples, each model unlearned half of the list and never saw the
    rest. For a shorter one, half of the models unlearned the whole list, and the others never saw
    it; then there is evidence per sample, and the other figures are None.
    """

    models: int
    forget: int
    ulira: SampleAttack | None = None
    """Hayes et al., arXiv 2403.01218"""
    rmia: SampleAttack | None = None
    """Zarifzadeh et al., ICML 2024"""
    klom: Figure | None = None
    """KL divergence of margins, unlearned to never seen, mean over the list, nats; arXiv
    2410.23232."""
    klom_chance: float | None = None
    """Mean `klom` expected without a difference; above 0 because there are few models."""
    samples: list[SampleEvidence] = []
    """Evidence per sample, in the order of the list; empty for more than 20 samples."""
    smallest_rate: float | None = None
    """Smallest false-positive rate that so many models can show, percent."""
