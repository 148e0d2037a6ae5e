"""`falw convert`: a checkpoint in another format, with bit-identical weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from falw_cli.config.settings import Config
from falw_cli.errors import RequestError
from falw_cli.models import checkpoint_files
from falw_cli.models.checkpoint import Ancestor, Checkpoint, Metadata, load_weights
from falw_cli.models.folder import CONFIG
from falw_cli.models.network import NetworkSpec, network_spec, with_metadata
from falw_cli.runtime import outputs
from falw_cli.runtime.progress import Progress


def convert(config: Config, progress: Progress) -> Path:
    """Write `config.model` as `config.out`, whose suffix names the format; without one, a folder.

    Args:
        config: model, output and architecture.
        progress: receives warnings of what was guessed and left out.

    Raises:
        RequestError: the checkpoint cannot be read, or the format is unknown; nothing was written.
        RunError: the disk is full.
    """
    if config.model is None or config.out is None:
        raise RequestError("--out is missing: the file to write", "for example --out new.pt")
    out, source = Path(config.out), checkpoint_files.read(config.model, config.weights)
    config = with_metadata(config, source)
    spec = None
    if config.arch:
        spec, source = network_spec(config, source)
        load_weights(spec.build(), source, spec.arch)  # refuses a wrong architecture
    said = _said(config, source, spec)
    kind, suffixes = checkpoint_files.kind_of_output(out, said), checkpoint_files.suffixes()
    if kind is None:
        raise RequestError(
            f"{out} has no known suffix",
            f"use one of {', '.join(suffixes)}; a folder is for --arch timm/NAME",
        )
    folder = out if out.suffix not in suffixes else None
    with outputs.claimed([out / CONFIG if folder else out], force=config.force, folder=folder):
        as_asked = _plain(source, kind)
        for note in (*source.notes, *_lost(source, as_asked), *_guessed(said, source, kind)):
            progress.warn(f"{source.path.name}: {note}")
        made = checkpoint_files.written(out, source.tensors, said, as_asked)
        checkpoint_files.refuse_other_weights(out, lambda: made, force=config.force)
        outputs.write_all(made)
    return out


def _plain(source: Checkpoint, kind: str) -> Checkpoint:
    """Return a checkpoint for writing in another format, by the module's names where known.

    A file keeps extra tensors and pruning masks; a library's folder would not load with them.
    """
    whole = kind in checkpoint_files.suffixes().values()
    files = source.names or {}
    masks = {name: source.masks[file] for name, file in files.items() if file in source.masks}
    return replace(
        source, kind=kind, key=(), around={}, names={name: name for name in source.tensors},
        extras=source.extras if whole else {}, masks=masks if whole else {},
    )  # fmt: skip


def _lost(source: Checkpoint, made: Checkpoint) -> list[str]:
    """Return sentences on what the source has beside the weights and the output lacks."""
    entries, extras = sorted(map(str, source.around)), sorted(set(source.extras) - set(made.extras))
    masks = sorted(f"{name}_mask" for name in source.masks) if not made.masks else []
    lost = [*entries, *extras, *masks]
    return [f"left out, since only weights are converted: {', '.join(lost)}"] if lost else []


def _guessed(said: Metadata | None, source: Checkpoint, kind: str) -> list[str]:
    """Return a sentence on preprocessing that a new folder needs and that is not known."""
    files = checkpoint_files.suffixes().values()
    if said is None or source.beside or kind in (source.kind, *files):
        return []
    names = ("image_size", "mean", "std")
    unknown = [name for name in names if getattr(said.preprocessing, name) is None]
    return [
        f"not given in preprocessing: {', '.join(unknown)}; the folder has {kind}'s defaults for "
        f"{said.arch}; if they are wrong, set `preprocessing:` in falw.yaml and convert again"
    ] if unknown else []  # fmt: skip


def _said(config: Config, source: Checkpoint, spec: NetworkSpec | None) -> Metadata | None:
    """Return the metadata of the output: the config's settings, else the checkpoint's."""
    if spec is None:
        return None
    old = source.metadata
    return Metadata(
        arch=spec.arch, arch_config=spec.arch_config,
        classes=config.classes or spec.stored_classes or tuple(map(str, range(spec.num_classes))),
        preprocessing=config.preprocessing,
        recipe=old.recipe if old else None, left_out=old.left_out if old else None,
        parent=source.sha256,
        ancestors=(
            *(old.chain if old else ()), Ancestor(sha256=source.sha256, step="converted")
        ),
        unlearned=old.unlearned if old else None,
        beside={name: content.decode() for name, content in source.beside.items()} or None,
    )  # fmt: skip
