"""The state of an interrupted run: everything that going on to the same bits needs."""

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

from falw_cli.errors import RequestError
from falw_cli.runtime import collectives
from falw_cli.runtime.engine import return_freed_memory
from falw_cli.runtime.outputs import write_all
from falw_cli.runtime.progress import Progress

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class State:
    """Model, optimizer and objective after `step` steps and `seconds`, with batches in `parts`.

    No generator: randomness follows from seed and step.
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
        """Gather the state."""
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
        """Put the state back."""
        module.load_state_dict(self._under("model/"))
        weights = [one for group in optimizer.param_groups for one in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in self._under("optimizer/").items():
            index, _, slot = name.partition("/")
            slots.setdefault(int(index), {})[slot] = _laid_out(value, weights[int(index)])
        optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
        objective(self._under("objective/"))

    def _under(self, prefix: str) -> dict[str, Tensor]:
        return {k[len(prefix) :]: v for k, v in self.tensors.items() if k.startswith(prefix)}


def _laid_out(value: Tensor, weights: Tensor) -> Tensor:
    """A slot in the memory format of its weights: torch's fused optimizers go by memory alone."""
    if value.shape != weights.shape:
        return value
    return torch.empty_like(weights, dtype=value.dtype, device=value.device).copy_(value)


MOST_TRIES = 8
"""Repetitions of a run whose states are looked for."""
SAVING = 0.01
"""Most of a run's time that saving its state may take, where nobody interrupts it."""
SECRET = {"model", "forget list", "data", "heldout"}
"""Told by name alone: their digests say nothing to a person."""


class _Notes(BaseModel):
    """What stands beside the tensors."""

    belongs_to: dict[str, str]
    step: Annotated[int, Field(ge=0)]
    seconds: float
    parts: Annotated[int, Field(ge=1)] = 1


def settings(asked: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """A config's values by dotted name, as text."""
    found: dict[str, str] = {}
    for key, value in asked.items():
        if isinstance(value, dict):
            found |= settings(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value)
    return found


@dataclass(frozen=True)
class StateFile:
    """Where a run's state lies, and what it must belong to.

    Attributes:
        path: the file beside the output.
        belongs_to: digests and settings of the run, by name: another run's state is refused.
        resume: was `--resume` given?
        every: seconds between two saves of a run that nobody interrupts.
    """

    path: Path
    belongs_to: dict[str, str]
    resume: bool
    every: float = 60.0

    def load(self, progress: Progress) -> State | None:
        """The saved state, or None for a run from the start.

        Raises:
            RequestError: it is broken, or belongs to another run.
        """
        if not self.resume:
            return None
        if not self.path.is_file():
            progress.note(f"there is no saved state {self.path}: starting from the beginning")
            return None
        try:
            with safe_open(self.path, framework="pt") as archive:
                notes = _Notes.model_validate_json(
                    (archive.metadata() or {}).get("falw_state", "{}")
                )
                tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError) as error:
            raise RequestError(
                f"{self.path} is not a whole state: {error}", "start anew"
            ) from error
        if differing := self._differing(notes.belongs_to):
            raise RequestError(
                f"{self.path} belongs to another run: {differing}",
                "repeat the interrupted command's flags, or run without --resume",
            )
        return State(tensors, notes.step, notes.seconds, notes.parts)

    def _differing(self, others: dict[str, str]) -> str:
        """What is not as it was, in words."""
        mine = self.belongs_to
        names = [n for n in {**mine, **others} if mine.get(n) != others.get(n)]
        shown = [
            f"{n} is {mine.get(n)}, was {others.get(n)}" if n not in SECRET else f"the {n} differs"
            for n in names[:3]
        ]
        return "; ".join(shown) + (f" (and {len(names) - 3} more)" if len(names) > 3 else "")

    def save(self, state: State) -> None:
        """Write the state, whole or not at all."""
        notes = _Notes(
            belongs_to=self.belongs_to, step=state.step, seconds=state.seconds, parts=state.parts
        )
        tensors = {k: v.detach().cpu().contiguous() for k, v in state.tensors.items()}
        content = save(tensors, metadata={"falw_state": notes.model_dump_json()})
        write_all({self.path: content}, private=True)

    def of_try(self, number: int) -> StateFile:
        """The state of the run's repetition `number` with another learning rate; 0 is this one."""
        if not number:
            return self
        return replace(self, path=self.path.with_name(f"{self.path.name}{number}"))

    def remove(self) -> None:
        """The run is over: its states are no longer needed."""
        for number in range(MOST_TRIES):
            with suppress(OSError):  # what was asked for is there
                self.of_try(number).path.unlink(missing_ok=True)


class Saves:
    """When the state of a run that nobody interrupts is saved: by time, at little cost."""

    def __init__(self, states: StateFile | None, clock: Callable[[], float]) -> None:
        self.states = states
        self.clock = clock
        self._last, self._cost = clock(), 0.0

    def due(self, fabric: Fabric) -> bool:
        """Is it time? The first rank's clock decides; every rank asks."""
        if self.states is None:
            return False
        pause = max(self.states.every, self._cost / SAVING)
        return bool(collectives.numbers(int(self.clock() - self._last >= pause), fabric)[0])

    def save(self, kept: State, fabric: Fabric) -> None:
        """Save it; the first rank writes."""
        began = self.clock()
        if self.states is not None and fabric.is_global_zero:
            self.states.save(kept)
            return_freed_memory()
        self._last = self.clock()
        self._cost = self._last - began
