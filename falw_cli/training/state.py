"""Saved state of an interrupted run: all that is needed to resume it bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import BaseModel, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn, optim

from falw_cli.config.settings import Config
from falw_cli.errors import RequestError
from falw_cli.runtime import collectives
from falw_cli.runtime.engine import return_freed_memory
from falw_cli.runtime.outputs import write_all
from falw_cli.runtime.progress import Progress

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class State:
    """Model, optimizer and objective after `step` steps and `seconds`, with `parts` per batch.

    No generator is saved: random numbers are derived from seed and step.
    """

    tensors: dict[str, Tensor]
    step: int
    seconds: float
    parts: int = 1

    @classmethod
    def of(
        cls,
        module: nn.Module,
        optimizer: optim.Optimizer,
        objective: dict[str, Tensor],
        step: int,
        seconds: float,
    ) -> State:
        """Collect the state of module, optimizer and objective."""
        tensors = {f"model/{k}": v for k, v in module.state_dict().items()}
        for index, slots in optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer/{index}/{slot}": value
                for slot, value in slots.items()
                if isinstance(value, Tensor)
            }
        tensors |= {f"objective/{k}": v for k, v in objective.items()}
        return cls(tensors, step, seconds)

    def restore(
        self,
        module: nn.Module,
        optimizer: optim.Optimizer,
        objective: Callable[[dict[str, Tensor]], None],
    ) -> None:
        """Load the state into module, optimizer and objective."""
        module.load_state_dict(below("model/", self.tensors))
        weights = [one for group in optimizer.param_groups for one in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in below("optimizer/", self.tensors).items():
            index, _, slot = name.partition("/")
            slots.setdefault(int(index), {})[slot] = _laid_out(value, weights[int(index)])
        optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
        objective(below("objective/", self.tensors))


def below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with the prefix, named without it."""
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def _laid_out(value: Tensor, weights: Tensor) -> Tensor:
    """Return a slot in the memory format of its weights: fused optimizers ignore strides."""
    if value.shape != weights.shape:
        return value
    return torch.empty_like(weights, dtype=value.dtype, device=value.device).copy_(value)


MOST_TRIES = 8
"""Maximum number of tries per run whose state files are removed."""
SAVING = 0.01
"""Maximum share of a run's time that periodic saves of its state may take."""
SECRET = {
    **{n: f"the {n} differs" for n in ("model", "forget list", "guiding half", "data", "heldout")},
    "earlier lists": "the earlier lists differ",
}
"""What is said of digests that differ: they mean nothing to a reader."""


class _Notes(BaseModel):
    """Metadata saved with the tensors."""

    belongs_to: dict[str, str]
    step: Annotated[int, Field(ge=0)]
    seconds: float
    parts: Annotated[int, Field(ge=1)] = 1


def settings(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a config's values by dotted name, as JSON text."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= settings(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value)
    return found


@dataclass(frozen=True)
class StateFile:
    """File of a run's saved state, and the run that the state must belong to.

    Attributes:
        path: the file beside the output.
        belongs_to: digests and settings of the run, by name; another run's state is rejected.
        resume: whether `--resume` was given.
        every: seconds between two periodic saves.
    """

    path: Path
    belongs_to: dict[str, str]
    resume: bool
    every: float = 60.0

    @classmethod
    def beside(cls, out: Path, belongs_to: dict[str, str], config: Config) -> StateFile:
        """Return the file of a run that writes `out`."""
        path = out.with_name(f"{out.name}.state")
        return cls(path, belongs_to, config.resume, config.save_every)

    def load(self, progress: Progress) -> State | None:
        """Return the saved state, or None if the run starts from the beginning.

        Raises:
            RequestError: the file is damaged, or belongs to another run.
        """
        if not self.resume:
            return None
        if not self.path.is_file():
            progress.note(f"no saved state at {self.path}: starting from the beginning")
            return None
        try:
            with safe_open(self.path, framework="pt") as archive:
                notes = _Notes.model_validate_json(
                    (archive.metadata() or {}).get("falw_state", "{}")
                )
                tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError) as error:
            raise RequestError(
                f"{self.path} is not a complete state: {error}", "run again without --resume"
            ) from error
        if differing := self._differing(notes.belongs_to):
            raise RequestError(
                f"{self.path} belongs to another run: {differing}",
                "use the flags of the interrupted command, or run without --resume",
            )
        return State(tensors, notes.step, notes.seconds, notes.parts)

    def _differing(self, others: dict[str, str]) -> str:
        """Describe the settings that differ from those of the saved state."""
        mine = self.belongs_to
        names = [n for n in {**mine, **others} if mine.get(n) != others.get(n)]
        shown = [
            f"{n} is {mine.get(n)}, was {others.get(n)}" if n not in SECRET else SECRET[n]
            for n in names[:3]
        ]
        return "; ".join(shown) + (f" (and {len(names) - 3} more)" if len(names) > 3 else "")

    def save(self, state: State) -> None:
        """Write the state atomically."""
        notes = _Notes(
            belongs_to=self.belongs_to, step=state.step, seconds=state.seconds, parts=state.parts
        )
        tensors = {k: v.detach().cpu().contiguous() for k, v in state.tensors.items()}
        content = save(tensors, metadata={"falw_state": notes.model_dump_json()})
        write_all({self.path: content}, private=True)

    def of_try(self, number: int) -> StateFile:
        """Return the state file of try `number`, with another learning rate; 0 is this file."""
        if not number:
            return self
        return replace(self, path=self.path.with_name(f"{self.path.name}{number}"))

    def remove(self) -> None:
        """Remove the state files of a finished run."""
        for number in range(MOST_TRIES):
            with suppress(OSError):  # the outputs are already written
                self.of_try(number).path.unlink(missing_ok=True)


class Saves:
    """Periodic saves of a run's state, limited to a small share of the run time."""

    def __init__(self, states: StateFile | None, clock: Callable[[], float]) -> None:
        self.states = states
        self.clock = clock
        self._last, self._cost = clock(), 0.0

    def due(self, fabric: Fabric) -> bool:
        """Return whether a save is due by the first rank's clock. Every rank calls this."""
        if self.states is None:
            return False
        pause = max(self.states.every, self._cost / SAVING)
        return bool(collectives.numbers(int(self.clock() - self._last >= pause), fabric)[0])

    def save(self, kept: State, fabric: Fabric) -> None:
        """Save the state; only the first rank writes."""
        began = self.clock()
        if self.states is not None and fabric.is_global_zero:
            self.states.save(kept)
            return_freed_memory()
        self._last = self.clock()
        self._cost = self._last - began
