"""`cifar10:DIR`: CIFAR-10, stored as torchvision stores it; the ID is the row number."""

from __future__ import annotations

from falw_cli.data.arrays import cifar
from falw_cli.data.listing import Listing, Source, Spec


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples of a part."""
    return cifar(spec, "CIFAR10")


source = Source(listing, parts="two")
