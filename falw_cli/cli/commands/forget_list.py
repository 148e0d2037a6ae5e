"""`falw forget-list`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from falw_cli.cli.command import Call, command
from falw_cli.config.flags import Flag
from falw_cli.config.settings import Section
from falw_cli.errors import RequestError, unknown_name


class ForgetListSettings(Section):
    """Settings of the draw."""

    ratio: Annotated[float | None, Flag("Options", environment=False)] = None
    """Share of the data to draw, e.g. 0.1."""
    count: Annotated[int | None, Flag("Options", environment=False)] = None
    """Number of samples to draw."""
    id: Annotated[tuple[str, ...], Flag("Options", environment=False, offers="ids")] = ()
    """Sample ID to check against the data. Repeatable."""
    where: Annotated[tuple[str, ...], Flag("Options", environment=False, offers="where")] = ()
    """Take the samples with this value in a column, COLUMN=VALUE; with --ratio or --count, draw
    from them. Repeatable: the same column means any of the values, different columns must all
    match."""
    gamma: Annotated[float, Field(ge=0, le=100), Flag("Options", environment=False)] = 1.0
    """Exponent of the long tail; 0 is balanced (default 1)."""
    class_name: Annotated[
        str | None, Flag("Options", name="class", environment=False, offers="classes")
    ] = None
    """Draw from this class only."""


@command(
    "forget-list", ("data", "metadata", "label_column", "allow_outside", "seed"),
    ForgetListSettings,
    example="falw forget-list --data digits --ratio 0.1 --gamma 1 > ids.txt",
)  # fmt: skip
def forget_list(call: Call) -> None:
    """Run the command."""
    config, own = call.config("forget-list"), call.own
    import numpy as np

    from falw_cli.data import forget_list as lists
    from falw_cli.data import loading
    from falw_cli.data.metadata import columns_of

    listing = loading.open_source(config, "data", call.console)
    if own.id:
        if own.where or own.ratio is not None or own.count is not None:
            raise RequestError(
                "--id conflicts with --where, --ratio and --count", "give one of them"
            )
        ids = [listing.ids[row] for row in lists.find(own.id, listing.ids)]
        call.console.document({"ids": ids}) if call.as_json else call.console.result("\n".join(ids))
        return
    if own.where:
        columns = columns_of(listing, config.metadata, call.console)
        listing = listing.keep(columns.matching(own.where, call.console))
    available = np.bincount(listing.labels, minlength=len(listing.classes))
    if own.class_name is not None:
        if own.class_name not in listing.classes:
            raise unknown_name("class", own.class_name, listing.classes)
        available = np.where(np.array(listing.classes) == own.class_name, available, 0)
    total = _total(own, int(available.sum()))
    if not total:
        raise RequestError(
            f"no sample of class {own.class_name!r} matches {', '.join(own.where)}",
            "leave out --class or --where",
        )
    sizes = lists.tail_sizes(available, total, own.gamma, config.seed)
    ids = [listing.ids[row] for row in lists.draw(listing.labels, sizes, config.seed)]
    if call.as_json:
        per_class = {c: int(n) for c, n in zip(listing.classes, sizes, strict=True) if n}
        call.console.document({"ids": ids, "per_class": per_class})
        return
    call.console.result("\n".join(ids))


def _total(own: ForgetListSettings, available: int) -> int:
    """Return the number of samples to draw; with --where alone, all."""
    if own.where and own.ratio is None and own.count is None:
        return available
    if (own.ratio is None) == (own.count is None):
        state = "both given" if own.count is not None else "required"
        raise RequestError(f"either --ratio or --count: {state}", "give one, e.g. --ratio 0.1")
    total = own.count or 0
    if own.ratio is not None:
        if not 0 < own.ratio <= 1:
            raise RequestError(
                f"--ratio {own.ratio} is out of range", "give a share between 0 and 1, e.g. 0.1"
            )
        total = max(1, round(own.ratio * available))
    if not 1 <= total <= available:
        raise RequestError(
            f"cannot draw {total} of {available} samples", "draw at least one, and no more than all"
        )
    return total
