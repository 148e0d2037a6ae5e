"""Listings of data SPECs: stable string IDs, labels, class names and places of images.

A listing is cheap: images are read by `falw_cli.data.images` when they are needed.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from falw_cli.config.extensions import SOURCES
from falw_cli.data.listing import Listing, Source, Spec
from falw_cli.errors import RequestError, unknown_name

LINE = frozenset("\n\r\0")
"""A forget list cannot name an ID that contains one of these."""
NAMED = re.compile(r"[A-Za-z][\w+.-]*")
"""Names of parts."""
TWO_PARTS = "choose from: #train, #test"


def parse_spec(text: str, default_part: str) -> Spec:
    """Parse a SPEC, `kind:location` or `kind:location#part`.

    Args:
        text: as the user wrote it.
        default_part: "train" for --data, "test" for --heldout and --test.

    Raises:
        RequestError: an unknown kind or part, or a missing location.
    """
    kind, _, location = text.partition(":")
    kind = kind.partition("#")[0]
    if kind not in SOURCES:
        raise unknown_name("data kind", kind, SOURCES)
    source: Source = SOURCES.load(kind).source
    body, mark, part = text.rpartition("#")
    there = os.path.exists(body.partition(":")[2])  # noqa: PTH110 (no errors)
    known = source.parts == "any" or there or part.lower() in ("train", "test")
    if not mark or not known or not NAMED.fullmatch(part) or os.path.exists(location):  # noqa: PTH110
        body, part = text, ""
    location = body.partition(":")[2]
    if part and source.parts == "none":
        inner = Path(location, part)
        deeper = f", or name the folder {kind}:{inner}" if inner.is_dir() else ""
        raise RequestError(f"{text!r}: {kind} has no parts", f"leave out #{part}{deeper}")
    two = source.parts == "two"
    part = part.lower() if two else part
    if two and part not in ("", "train", "test"):
        raise RequestError(f"{text!r} has no part {part!r}", TWO_PARTS)
    if not location and source.needs_location:
        raise RequestError(f"{text!r} names no location", f"write {kind}:PATH")
    if not source.needs_location and body.partition(":")[0] != kind:
        raise RequestError(f"{text!r} has no part {part or body.partition('#')[2]!r}", TWO_PARTS)
    if location and not source.needs_location:
        raise RequestError(f"{text!r}: {kind} has no location", f"write {kind}")
    default = default_part if two else ""
    return Spec(text, kind, Path(location), part or default, default_part)


def open_listing(
    text: str,
    default_part: str = "train",
    *,
    allow_outside: bool = False,
    label_column: str | None = None,
) -> Listing:
    """List the samples of a data SPEC.

    Args:
        text: see `parse_spec`; the kinds are those of `SOURCES`.
        default_part: the part that is meant if a source has two and `text` names none.
        allow_outside: whether the source may name files outside its own folder.
        label_column: the column of labels, for sources that have columns.

    Raises:
        RequestError: the source is missing, empty or malformed, or an ID is not unique.
    """
    spec = replace(parse_spec(text, default_part), label_column=label_column)
    source: Source = SOURCES.load(spec.kind).source
    listing = source.listing(spec, allow_outside)
    if label_column is not None and not source.columns:
        note = f"the label column {label_column!r} does not apply to {spec.kind}"
        listing = replace(listing, notes=(*listing.notes, note))
    if not listing.ids:
        hint = "; ".join(("check the location and the layout", *listing.notes))
        raise RequestError(f"{text!r} holds no images", hint)
    strange = (name for name in listing.ids if not name.isprintable())
    broken = next((name for name in strange if LINE & set(name)), None)
    if broken is not None:
        raise RequestError(f"{text!r}: ID {broken!r} contains a line break", "rename that sample")
    if len(set(listing.ids)) != len(listing.ids):
        seen: set[str] = set()
        twice = next(i for i in listing.ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise RequestError(f"{text!r}: ID {twice!r} occurs twice", "make the IDs unique")
    return listing
