"""Exact copies of forget samples and of samples of earlier requests, under other IDs."""

from __future__ import annotations

import numpy as np

from falw_cli.config.settings import Config
from falw_cli.data import cache, images, splits
from falw_cli.data.images import Images, Rows
from falw_cli.errors import RequestError
from falw_cli.runtime.progress import Progress


def find_copies(
    data: Images, listed: Rows, config: Config, progress: Progress, gone: Rows = images.NONE
) -> Rows:
    """Return the rows of exact copies of listed images, which join the list; not those in `gone`.

    Raises:
        RequestError: there are some, and `with_copies` is not set: the model would go on to know
            the images under other IDs.
    """
    found = np.setdiff1d(splits.copies(data, listed), gone)
    if not len(found):
        return found
    if not config.with_copies:
        raise RequestError(
            f"{len(found)} samples have the same pixels as listed ones, but are not on the list: "
            f"{_first(data, found)}",
            "put them on the list, or give --with-copies, which does so",
        )
    progress.warn(f"{len(found)} exact copies of listed samples were put on the list")
    return _expelled(data, listed, found, progress)


def find_earlier_copies(
    data: Images, gone: Rows, config: Config, progress: Progress, listed: Rows
) -> Rows:
    """Return the rows of exact copies of images of earlier requests; not those in `listed`.

    Raises:
        RequestError: there are some, and `with_copies` is not set: as retain samples, they would
            be taught again.
    """
    found = np.setdiff1d(splits.copies(data, gone), listed)
    if not len(found):
        return found
    if not config.with_copies:
        raise RequestError(
            f"{len(found)} samples have the same pixels as samples of earlier requests, but are on "
            f"no list: {_first(data, found)}",
            "put them on the list, or give --with-copies, which leaves them out of the retain "
            "samples",
        )
    progress.warn(
        f"{len(found)} exact copies of samples of earlier requests were left out of the retain "
        "samples"
    )
    return _expelled(data, gone, found, progress)


def _first(data: Images, rows: Rows) -> str:
    return ", ".join(repr(data.listing.ids[row]) for row in rows[:5].tolist())


def _expelled(data: Images, listed: Rows, found: Rows, progress: Progress) -> Rows:
    """Return `found`, after the cache has dropped these images and the listed ones."""
    if data.entry is not None:
        cache.expel(data.entry, np.union1d(listed, found), progress)
    return found
