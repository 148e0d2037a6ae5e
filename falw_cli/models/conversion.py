"""`falw convert`: a checkpoint in another format, with the same weights to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from falw_cli.config.settings import Config
from falw_cli.errors import RequestError
from falw_cli.models.checkpoint import Checkpoint, Metadata, fill
from falw_cli.models.formats import registry
from falw_cli.models.formats.folder import CONFIG
from falw_cli.models.network import Plan, plan, settle
from falw_cli.runtime import outputs


def convert(config: Config) -> Path:
    """Write `config.model` as the name of `config.out` asks: by its ending, or as a folder.

    Raises:
        RequestError: it cannot be read, or cannot be written so; nothing was written.
        RunError: the disk is full.
    """
    if config.model is None or config.out is None:
        raise RequestError("--out is missing: where the checkpoint goes", "such as --out new.pt")
    out, source = Path(config.out), registry.read(config.model)
    config = settle(config, source)
    made = plan(config, source) if config.arch else None
    if made:
        fill(made.build(), source, made.arch)  # it is what it says
    said = _said(config, source, made)
    library = next((k for k, v in registry.FOLDERS.items() if said and _is(v.PREFIX, said)), None)
    kind = registry.KINDS.get(out.suffix) or library
    if kind is None:
        raise RequestError(
            f"{out} names no format",
            f"let it end in one of {', '.join(registry.FILES)}; a folder is for --arch timm/NAME",
        )
    folder = out if out.suffix not in registry.FILES else None
    first = out / CONFIG if folder else out
    with outputs.claimed([first], force=config.force, folder=folder):
        as_asked = replace(source, kind=kind, key="", around={}, prefix="")
        outputs.write_all(registry.written(out, source.tensors, said, as_asked))
    return out


def _is(prefix: str, said: Metadata) -> bool:
    return said.arch.startswith(prefix)


def _said(config: Config, source: Checkpoint, made: Plan | None) -> Metadata | None:
    """What the checkpoint says of itself, with what the config says above it."""
    if made is None:
        return None
    old = source.metadata
    return Metadata(
        arch=made.arch, arch_config=made.arch_config,
        classes=config.classes or tuple(str(index) for index in range(made.num_classes)),
        preprocessing=config.preprocessing,
        recipe=old.recipe if old else None, parent=old.parent if old else None,
        unlearned=old.unlearned if old else None,
        beside={name: content.decode() for name, content in source.beside.items()} or None,
    )  # fmt: skip
