"""Exact copies of forget samples and of samples of earlier requests, under other IDs."""

from __future__ import annotations

import numpy as np

from falw_cli.config.settings import Config
from falw_cli.data import cache, images, splits
from falw_cli.data.images import Images, Rows
from falw_cli.errors import RequestError
from falw_cli.runtime.printable import counted
from falw_cli.runtime.progress import Progress


def find_copies(
    data: Images, listed: Rows, config: Config, progress: Progress, gone: Rows = images.NONE
) -> Rows:
    """Return the rows of exact copies of listed images, which join the list; not those in `gone`.

    Raises:
        RequestError: there are some, and `with_copies` is not set: the model would go on to know
            the images under other IDs.
    """
    return _found(
        data, listed, gone, config, progress, "listed ones", "not on the list", "does so",
        "listed samples put on the list",
    )  # fmt: skip


def find_earlier_copies(
    data: Images, gone: Rows, config: Config, progress: Progress, listed: Rows
) -> Rows:
    """Return the rows of exact copies of images of earlier requests; not those in `listed`.

    Raises:
        RequestError: there are some, and `with_copies` is not set: as retain samples, they would
            be taught again.
    """
    return _found(
        data, gone, listed, config, progress, "samples of earlier requests", "on no list",
        "leaves them out of the retain samples",
        "samples of earlier requests left out of the retain samples",
    )  # fmt: skip


def _found(
    data: Images, of: Rows, but: Rows, config: Config, progress: Progress, named: str, why: str,
    effect: str, done: str,
) -> Rows:  # fmt: skip
    """Return the rows of copies of the images in `of` that are not in `but`, or refuse them."""
    found = np.setdiff1d(splits.copies(data, of), but)
    if not len(found):
        return found
    if not config.with_copies:
        first = ", ".join(repr(data.listing.ids[row]) for row in found[:5].tolist())
        raise RequestError(
            f"{counted(len(found), 'sample has', 'samples have')} the same pixels as {named}, "
            f"{why}: {first}",
            f"put them on the list, or give --with-copies, which {effect}",
        )
    progress.warn(f"{counted(len(found), 'exact copy', 'exact copies')} of {done}")
    if data.entry is not None:
        cache.expel(data.entry, np.union1d(of, found), data.pixels.shape, progress)
    return found
