"""Data of an unlearning run: the network and the samples, on the device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from falw_cli.config.settings import Config
from falw_cli.data.device import Samples, place
from falw_cli.data.splits import join
from falw_cli.errors import RequestError
from falw_cli.evaluation.predictions import EvaluationSamples
from falw_cli.models.inputs import Inputs
from falw_cli.models.network import Network
from falw_cli.training.loop import Work
from falw_cli.unlearning.interfaces import load_method, load_weighting


@dataclass(frozen=True)
class RunData:
    """The network to unlearn and the samples of the run, on the device."""

    network: Network
    whole: Samples
    """Forget samples, then retain samples."""
    judged: EvaluationSamples
    guide: Samples
    kept: Tensor
    """Number of retain samples per class, whether the run uses them or not, int64 [C]."""
    plain: Samples | None = None
    """The samples of `whole` without augmentation, if reading `whole` augments them."""
    again: bool = False
    """Whether the model was unlearned before."""
    longer: int = 1
    """Factor on the number of steps."""

    @property
    def forget(self) -> Samples:
        """The forget samples."""
        return self.judged.forget

    @property
    def retain(self) -> Samples:
        """The retain samples that the run uses, without augmentation."""
        plain = self.whole if self.plain is None else self.plain
        return plain.of(slice(len(self.forget), None))

    @classmethod
    def of(cls, config: Config, inputs: Inputs) -> RunData:
        """Move the samples to the device.

        Raises:
            RequestError: the method, weighting or stopping needs held-out data; none was given.
        """
        parts, device = inputs.splits, inputs.network.fabric.device
        guide = place(parts.heldout, device)
        whole, cut = place(join(parts.forget, parts.retain), device), len(parts.forget)
        forget, retain = whole.of(slice(cut)), whole.of(slice(cut, None))
        if parts.judged is not parts.retain:
            retain = place(parts.judged, device)
        judged = EvaluationSamples(forget, retain, place(parts.test, device), parts.kept)
        for what, needed in _needs_guide(config).items():
            if needed and not len(guide):
                raise RequestError(
                    f"{what} needs held-out data",
                    "give --heldout, or use another --method, --weighting none and --stop epochs",
                )
        said = inputs.source.metadata
        again = bool(parts.earlier) or (said is not None and said.unlearned is not None)
        kept = torch.from_numpy(parts.kept).to(device)
        return cls(inputs.network, whole, judged, guide, kept, again=again)

    def copy(self) -> RunData:
        """Return the data with a copy of the network, which may be changed freely."""
        return replace(self, network=self.network.copy())

    def is_short(self, config: Config) -> bool:
        """Return whether the list is one of those for which the method takes few, careful steps."""
        return len(self.forget) <= load_method(config.unlearn.method).fixed_statistics_up_to

    def careful(self, config: Config) -> bool:
        """Return whether a run takes smaller and more steps, so as not to undo earlier requests.

        The steps for a list draw the samples of earlier lists back to their labels, the more so the
        larger they are (docs/requests.md). No step may use these samples to prevent it.
        """
        return self.again and self.is_short(config)

    def work(self, config: Config, lr: float, share_of_run: float = 1.0) -> Work:
        """Return the input of the loop: both sets, or the one that the method uses."""
        recipe = config.unlearn.model_copy(update={"lr": lr})
        method = load_method(recipe.method)
        data, forget = self.whole, len(self.forget)
        if not method.uses_retain:
            data = data.of(slice(forget))
        elif not method.uses_forget:
            data, forget = data.of(slice(forget, None)), 0
        label = f"{recipe.method} x {recipe.weighting}"
        return Work(
            data, forget, recipe, config.seed, label, recipe.forget_share, share_of_run,
            config.compile, method.dropout, forget > method.fixed_statistics_up_to,
            method.least_momentum, recipe.least_steps,
            self.longer * (method.again_steps if self.careful(config) else 1),
        )  # fmt: skip


def _needs_guide(config: Config) -> dict[str, bool]:
    """Return whether each part of the run, by name, needs held-out data."""
    recipe = config.unlearn
    assert recipe.weighting is not None  # set by with_method_defaults
    needs = load_weighting(recipe.weighting).needs
    return {
        f"weighting {recipe.weighting}": needs == "target",
        f"method {recipe.method}": load_method(recipe.method).needs_guide,
        "--stop auto": recipe.stop == "auto",
        "--lr auto": recipe.lr == "auto",
        "unlearn.trace": recipe.trace,
    }
