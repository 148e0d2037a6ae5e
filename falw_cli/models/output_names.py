"""Names of a model's outputs: those given, or else a guess from the data."""

from __future__ import annotations

from collections.abc import Sequence

from falw_cli.data.labels import guessed_order, is_unnamed, shown
from falw_cli.data.listing import Listing
from falw_cli.errors import RequestError
from falw_cli.runtime.printable import counted


def output_names(
    given: Sequence[str] | None, listing: Listing, number: int
) -> tuple[tuple[str, ...], str | None]:
    """Return the names of the outputs, and a warning if their order is a guess.

    Args:
        given: the names from --classes or the checkpoint, if there are any; names such as LABEL_0
            say no more than the position.
        listing: the training data.
        number: outputs of the model.

    Raises:
        RequestError: the data has another number of classes.
    """
    given = tuple(given) if given is not None else None
    if given is not None and not _says_nothing(given, listing):
        return given, None
    if listing.numbered:
        return given or tuple(str(i) for i in range(number)), None
    classes = listing.classes
    if len(classes) != number:
        classes = tuple(sorted((*classes, *listing.empty)))
    if len(classes) != number:
        named = "" if given is None else f", named {shown(given)}"
        raise RequestError(
            f"the model has {counted(number, 'output')}{named}, "
            f"{listing.spec!r} has {counted(len(listing.classes), 'class', 'classes')}",
            "give the data it was trained on, or --classes FILE: one name per line, in the order "
            "of the outputs",
        )
    return classes, guessed_order(classes)


def _says_nothing(given: tuple[str, ...], listing: Listing) -> bool:
    """Return whether names are positions, and not names that the data has."""
    return is_unnamed(given) and not listing.numbered and not set(given) & set(listing.classes)
