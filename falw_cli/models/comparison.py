"""The models that an audited one is compared with: retrained models, and the original."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from falw_cli.config.settings import Config, Preprocessing
from falw_cli.data.labels import is_unnamed
from falw_cli.errors import RequestError
from falw_cli.models import checkpoint_files
from falw_cli.models.chain import steps_back
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.models.left_out import AuditedLists, other_list
from falw_cli.models.network import Network, build_network, network_spec, with_metadata
from falw_cli.models.weight_sets import same
from falw_cli.runtime.progress import Progress


@dataclass(frozen=True)
class Compared:
    """A model to compare with."""

    network: Network
    source: Checkpoint
    """Its file, with the names of the module."""


def open_compared(
    model: Checkpoint, given: Config, network: Network, progress: Progress, path: str
) -> Compared:  # fmt: skip
    """Open a retrained model or the original.

    Raises:
        RequestError: it was made from the model, or has other classes or another input size.
    """
    source = checkpoint_files.read(path, given.weights)
    if source.metadata and steps_back(source.metadata, model.sha256) is not None:
        raise RequestError(
            f"{path} was made from the model, {model.path}", "give the model from before it"
        )
    # A reference's own metadata has precedence; without metadata, it gets the settings of the
    # model to unlearn; so does one whose preprocessing falw cannot apply.
    own = given.model_copy(update={"preprocessing": Preprocessing()})
    said = {"arch": network.arch, "preprocessing": network.preprocessing.model_dump()}
    if source.unclear:
        own = given.over({"preprocessing": said["preprocessing"]})
    config = with_metadata(own if source.metadata else given.over(said), source)
    spec, source = network_spec(config, source)
    for note in source.notes:
        progress.warn(f"{source.path.name}: {note}")
    classes = config.classes or spec.stored_classes
    if classes is None or is_unnamed(classes):
        classes = network.classes
    if classes != network.classes or spec.num_classes != len(classes):
        raise RequestError(
            f"{path} has other classes than the model", "give a model of the same classes"
        )
    shown = config.preprocessing
    same = (shown.image_size, shown.resize)
    if same != (network.preprocessing.image_size, network.preprocessing.resize):
        raise RequestError(
            f"{path} takes images of {same[0]} pixels, "
            f"the model of {network.preprocessing.image_size}",
            "give a model with the same preprocessing",
        )
    return Compared(build_network(spec, source, classes, shown, network.fabric), source)


def check_references(
    references: Sequence[Compared],
    model: Checkpoint,
    network: Network,
    original: Compared | None,
    lists: AuditedLists | None,
    progress: Progress,
) -> set[int]:
    """Check that each reference is a model that was retrained without the list.

    Args:
        references: the retrained models.
        model, network: the audited model.
        original: the checkpoint before unlearning.
        lists: what a retrained model may have left out; None without a forget list.
        progress: receives the warnings.

    Returns:
        Numbers of the references that a warning is about.

    Raises:
        RequestError: a reference has the weights of the model.
    """
    weights = [one.network.module.state_dict() for one in references]
    known, doubtful = [model, *(one.source for one in references)], set()
    for number, (one, mine) in enumerate(zip(references, weights, strict=True)):
        path, found = one.source.path, []
        if same(mine, network.module.state_dict()):
            raise RequestError(
                f"reference {path} has the weights of the model",
                "give a model that was retrained without the list",
            )
        if lists and (text := other_list(one.source, lists)):
            found.append(text)
        if original is not None and same(mine, original.network.module.state_dict()):
            found.append(
                f"reference {path} has the weights of the original, which was trained on the list"
            )
        found += [
            f"references {other.source.path} and {path} have the same weights, so that they say "
            "nothing about random seeds"
            for other, theirs in zip(references[:number], weights, strict=False)
            if same(mine, theirs)
        ]
        others = (
            text for first in known[: number + 1] if (text := other_recipe(one.source, first))
        )
        found += list(others)[:1]
        for text in found:
            progress.warn(text)
        doubtful |= {number} if found else set()
    return doubtful


def other_recipe(reference: Checkpoint, other: Checkpoint) -> str:
    """Return that a reference was trained by another recipe than another model; "" if not known."""
    mine, theirs = (
        one.metadata.recipe.model_dump() if one.metadata and one.metadata.recipe else {}
        for one in (reference, other)
    )
    differing = [
        f"{name} {mine[name]}, not {value}"
        for name, value in theirs.items()
        if name in mine and mine[name] != value
    ]
    if not differing:
        return ""
    return (
        f"reference {reference.path} was trained by another recipe than {other.path} "
        f"({', '.join(differing[:3])}), so their difference is not that of random seeds"
    )


def check_original(
    original: Compared,
    model: Checkpoint,
    known: Collection[str],
    lists: AuditedLists | None,
    progress: Progress,
) -> None:
    """Refuse a retrained model as the original; warn if nothing says that it is the original.

    Args: known, the digests of the checkpoints that the model was made from.

    Raises:
        RequestError: its metadata says that its training left out the list.
    """
    path, said = original.source.path, original.source.metadata
    if lists and said and said.left_out and said.left_out.ids in lists.accepted:
        raise RequestError(
            f"original {path} is a retrained model: its training left out the forget list",
            "give it as --reference, and the checkpoint before unlearning as --original",
        )
    if model.metadata and original.source.sha256 not in known:
        progress.warn(
            f"original {path}: nothing says that {model.path.name} was made from it; the metadata "
            f"of {model.path.name} names no earlier checkpoint, as if it was never unlearned"
        )
