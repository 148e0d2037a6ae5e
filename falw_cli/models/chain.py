"""The chain of a checkpoint: the checkpoints that it was made from, and what their runs forgot."""

from __future__ import annotations

from collections.abc import Sequence

from falw_cli.data.forget_list import ForgetList
from falw_cli.data.ledger import Entry
from falw_cli.models.checkpoint import Checkpoint, Metadata


def steps_back(said: Metadata, digest: str) -> int | None:
    """Return the number of unlearning runs from an ancestor to the checkpoint; None if unrelated.

    Args:
        said: metadata of the checkpoint.
        digest: SHA-256 of the supposed ancestor.
    """
    for number, one in enumerate(said.chain):
        if one.sha256 == digest:
            return sum(later.step == "unlearned" for later in said.chain[number:])
    return None


def outputs_in_chain(source: Checkpoint, entries: Sequence[Entry]) -> set[str]:
    """Return the digests of the model and of all checkpoints that it was made from."""
    known = {
        source.sha256,
        *(one.sha256 for one in (source.metadata.chain if source.metadata else ())),
    }
    made_from = {one.output: one.model for one in entries}
    # A checkpoint without metadata, such as a .pt file, has its chain in the ledger alone.
    while more := {made_from[one] for one in known if one in made_from} - known:
        known |= more
    return known


def made_from(source: Checkpoint, entries: Sequence[Entry]) -> list[str]:
    """Return the digests of the checkpoints that the model was made from, the oldest first."""
    said = [one.sha256 for one in (source.metadata.chain if source.metadata else ())]
    more = outputs_in_chain(source, entries) - {source.sha256, *said}
    return [*sorted(more), *said]


def digest_of(one: ForgetList, source: Checkpoint) -> str:
    """Return the digest by which the chain names a list with these IDs, in any order and format."""
    return _last_digests(source).get(one.ids_sha256) or one.sha256


def names(source: Checkpoint, one: ForgetList) -> bool:
    """Return whether the chain says that a run unlearned a list with these IDs."""
    chain = source.metadata.chain if source.metadata else ()
    return digest_of(one, source) in {
        step.forget_list for step in chain if step.step == "unlearned"
    }


def _last_digests(source: Checkpoint) -> dict[str | None, str | None]:
    """Return the digest of each list in the chain by that of its sorted IDs; the last run's."""
    chain = source.metadata.chain if source.metadata else ()
    return {step.ids: step.forget_list for step in chain if step.ids}


def uncovered(source: Checkpoint, entries: Sequence[Entry]) -> list[str | None]:
    """Return the list digests of the model's earlier runs that no entry describes."""
    said = source.metadata
    if said is None or said.unlearned is None:
        return []
    outputs = {one.output for one in entries}
    made = [*(one.sha256 for one in said.chain[1:]), source.sha256]
    last = _last_digests(source)
    runs = [
        (last.get(one.ids, one.forget_list), output)
        for one, output in zip(said.chain, made, strict=False)
        if one.step == "unlearned"
    ]
    return [digest for digest, output in runs or [(None, "")] if output not in outputs]


def judged(source: Checkpoint, entries: Sequence[Entry]) -> dict[str | None, bool]:
    """Return, for the digest of each list in the chain, whether its last run is known to forget it.

    The audit of a run says so if it did not show that the whole list is forgotten.

    Args:
        source: the model.
        entries: runs in its chain; metadata has precedence.
    """
    said = [(one.forget_list, one.forgotten) for one in entries]
    chain = source.metadata.chain if source.metadata else ()
    runs = [one for one in chain if one.step == "unlearned" and one.forget_list]
    said += [(one.forget_list or "", one.forgotten) for one in runs]
    return {digest: forgotten is not False for digest, forgotten in said}
