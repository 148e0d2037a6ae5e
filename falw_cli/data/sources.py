"""Data SPECs -> listings: stable string IDs, labels, class names, and where the images are.

A listing is cheap: images are read by `falw_cli.data.images`, when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from falw_cli.data import arrays, columns, files, library, tars
from falw_cli.data.listing import Listing, Spec
from falw_cli.errors import RequestError, unknown_name

OPENERS: dict[str, Callable[[Spec, bool], Listing]] = {
    "imagefolder": files.imagefolder,
    "csv": files.csv_file,
    "npz": arrays.npz,
    "cifar10": arrays.cifar("CIFAR10"),
    "cifar100": arrays.cifar("CIFAR100"),
    "digits": arrays.digits,
    "parquet": columns.parquet,
    "hf": columns.hf,
    "webdataset": tars.webdataset,
    "torchvision": library.torchvision,
}
"""The data sources by kind: a new one is a function from its Spec to a Listing, and a line here."""
LINE = frozenset("\n\r\0")
"""A list of IDs could not name an ID with one of these."""
TWO_PARTS = frozenset({"cifar10", "cifar100", "digits", "torchvision", "hf"})
MAY_HAVE_PARTS = frozenset({"csv"})
"""By a column; without a part all rows are meant."""


def parse_spec(text: str, default_part: str) -> Spec:
    """Take a SPEC apart.

    Args:
        text: as the user wrote it.
        default_part: "train" for --data, "test" for --heldout and --test.

    Raises:
        RequestError: an unknown kind, part, or a missing location.
    """
    body, mark, part = text.rpartition("#")
    if not mark or part not in ("train", "test"):
        body, part = text, ""
    kind, _, location = body.partition(":")
    if kind not in OPENERS:
        raise unknown_name("data kind", kind, OPENERS)
    if kind not in TWO_PARTS | MAY_HAVE_PARTS and part:
        raise RequestError(f"{text!r}: {kind} has no parts", f"leave out #{part}")
    if not location and kind != "digits":
        raise RequestError(f"{text!r} names no location", f"write {kind}:PATH")
    default = default_part if kind in TWO_PARTS else ""
    return Spec(text, kind, Path(location), part or default)


def open_listing(text: str, default_part: str = "train", *, allow_outside: bool = False) -> Listing:
    """List the samples of a data SPEC.

    Args:
        text: `kind:location`, see CONTRACT: imagefolder, csv, npz, cifar10 … (`OPENERS`).
        default_part: the part of a two-part set that goes without saying.
        allow_outside: may a CSV name files outside its own folder?

    Raises:
        RequestError: the source is missing, empty, malformed, or an ID stands in it twice.
    """
    spec = parse_spec(text, default_part)
    listing = OPENERS[spec.kind](spec, allow_outside)
    if not listing.ids:
        raise RequestError(f"{text!r} holds no images", "check the location and the layout")
    strange = (name for name in listing.ids if not name.isprintable())
    broken = next((name for name in strange if LINE & set(name)), None)
    if broken is not None:
        raise RequestError(f"{text!r}: ID {broken!r} holds a line break", "rename that sample")
    if len(set(listing.ids)) != len(listing.ids):
        seen: set[str] = set()
        twice = next(i for i in listing.ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise RequestError(f"{text!r}: ID {twice!r} stands there twice", "make the IDs unique")
    return listing
