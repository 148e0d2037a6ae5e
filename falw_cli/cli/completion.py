"""Shell completion of option values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from falw_cli.data.listing import Listing

ARCHS = (
    "tiny-cnn", "resnet18", "resnet18-cifar", "resnet34", "resnet34-cifar", "resnet50",
    "vgg16_bn", "vgg16_bn-cifar", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0",
    "convnext_tiny", "vit_b_16", "swin_t", "timm/",
)  # fmt: skip
OFFERED = 200
"""Maximum number of IDs in a completion."""
Complete = Callable[[str], list[str]] | Callable[[typer.Context, str], list[str]]


def among(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a completion that offers the names starting with the typed word."""
    known = list(names)

    def complete(incomplete: str) -> list[str]:
        return [name for name in known if name.startswith(incomplete)]

    return complete


def sample_id(context: typer.Context, incomplete: str) -> list[str]:
    """Return the sample IDs that start with the typed word."""
    return [name for name in _named(context, "ids") if name.startswith(incomplete)][:OFFERED]


def class_name(context: typer.Context, incomplete: str) -> list[str]:
    """Return the class names that start with the typed word."""
    return [name for name in _named(context, "classes") if name.startswith(incomplete)]


def condition(context: typer.Context, incomplete: str) -> list[str]:
    """Return COLUMN= for the columns of the data, or COLUMN=VALUE for the values of a column."""
    from falw_cli.data.metadata import columns_of
    from falw_cli.errors import FalwError
    from falw_cli.runtime.progress import Silent

    column, sign, _ = incomplete.partition("=")
    try:
        listing, metadata = _listing(context)
        found = columns_of(listing, metadata, Silent()).values
    except FalwError:
        return []
    offered = [f"{column}={value}" for value in sorted(set(found.get(column, ())))]
    names = offered if sign else [f"{name}=" for name in found]
    return [name for name in names if name.startswith(incomplete)][:OFFERED]


def _named(context: typer.Context, what: str) -> tuple[str, ...]:
    """Return the IDs or class names of the data given on the command line or in falw.yaml."""
    from falw_cli.errors import FalwError

    try:
        names: tuple[str, ...] = getattr(_listing(context)[0], what)
    except FalwError:
        return ()
    return names


def _listing(context: typer.Context) -> tuple[Listing, str | None]:
    """Return the data given on the command line or in falw.yaml, and its metadata file."""
    from falw_cli.config.resolution import resolve
    from falw_cli.data.opening import open_listing

    given = {name: context.params.get(name) for name in ("data", "metadata")}
    config = resolve("forget-list", given)
    return open_listing(config.data or ""), config.metadata


OFFERS: dict[str, Complete] = {
    "arch": among(ARCHS), "ids": sample_id, "classes": class_name,
    "where": condition,
}  # fmt: skip
"""Completions by the value of `Flag.offers`."""
