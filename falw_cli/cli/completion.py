"""Shell completion of option values."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer

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


def _named(context: typer.Context, what: str) -> tuple[str, ...]:
    """Return the IDs or class names of the data given on the command line or in falw.yaml."""
    from falw_cli.config.resolution import resolve
    from falw_cli.data.opening import open_listing
    from falw_cli.errors import FalwError

    try:
        config = resolve("forget-list", {"data": context.params.get("data")})
        listing = open_listing(config.data or "")
    except FalwError:
        return ()
    names: tuple[str, ...] = getattr(listing, what)
    return names


OFFERS: dict[str, Complete] = {
    "arch": among(ARCHS), "ids": sample_id, "classes": class_name,
}  # fmt: skip
"""Completions by the value of `Flag.offers`."""
