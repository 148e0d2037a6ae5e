"""`falw forget-list`."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from falw_cli.cli.command import Call, command
from falw_cli.config.flags import Flag
from falw_cli.config.settings import Section
from falw_cli.errors import RequestError, unknown_name
from falw_cli.runtime.printable import counted

if TYPE_CHECKING:
    from falw_cli.config.settings import Config
    from falw_cli.data.images import Rows
    from falw_cli.data.listing import Listing
    from falw_cli.data.near import Proposal


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
    forget: Annotated[str | None, Flag("Options", environment=False, names="path")] = None
    """Existing list to check against the data, or to extend by --near."""
    near: Annotated[float | None, Field(gt=0, le=1), Flag("Options", environment=False)] = None
    """Propose samples that resemble listed ones, as comments: the least similarity, e.g. 0.95."""
    gamma: Annotated[float, Field(ge=0, le=100), Flag("Options", environment=False)] = 1.0
    """Exponent of the long tail; 0 is balanced (default 1)."""
    class_name: Annotated[
        str | None, Flag("Options", name="class", environment=False, offers="classes")
    ] = None
    """Draw from this class only."""


@command(
    "forget-list",
    ("data", "metadata", "label_column", "skip_unreadable", "allow_outside", "seed"),
    ForgetListSettings,
    example="falw forget-list --data digits --ratio 0.1 --gamma 1 > ids.txt",
)  # fmt: skip
def forget_list(call: Call) -> None:
    """Run the command."""
    config, own, console = call.config("forget-list"), call.own, call.console
    from falw_cli.data import loading

    listing = loading.open_source(config, "data", console)
    given = own.id or own.forget
    rows = _given(own, listing, call) if given else _drawn(own, listing, config, call)
    ids, proposed = [listing.ids[row] for row in rows], []
    if own.near is not None:
        if not call.as_json and any(name.startswith(("# ", "## ")) for name in listing.ids):
            raise RequestError(
                "IDs of the data begin with # and a space, as the lines of proposals do",
                "give --json: the proposals are under `proposed`",
            )
        from falw_cli.data import near

        proposed = near.propose(listing, rows, own.near, config, console)
        console.note(
            f"near-duplicates: {counted(len(proposed), 'sample resembles', 'samples resemble')} "
            f"{len({p.like for p in proposed})} "
            f"of {len(ids)} listed ones ({own.near:g} or more); they are proposed, not listed"
        )
    if not call.as_json:
        console.result("\n".join([*ids, *_comments(proposed)]))
        if sys.stdout.isatty():
            console.note(f"{len(ids)} IDs; to save them, write `> ids.txt` after the command")
        return
    found: dict[str, object] = {"ids": ids}
    if not given:
        counts = Counter(listing.classes[label] for label in listing.labels[rows].tolist())
        found["per_class"] = {name: counts[name] for name in listing.classes if counts[name]}
    if own.near is not None:
        found["proposed"] = [vars(one) for one in proposed]
    console.document(found)


def _comments(proposed: list[Proposal]) -> list[str]:
    """Return the lines of proposals, which a list takes for comments.

    A line `# ID` becomes an entry without its first two characters; `## ` explains.
    """
    by_listed: dict[str, list[Proposal]] = {}
    for one in proposed:
        by_listed.setdefault(one.like, []).append(one)
    lines = []
    for like, several in by_listed.items():
        shown = ", ".join(f"{one.similarity:.2f}" for one in several)
        lines += [f"## like {like}: {shown}", *(f"# {one.name}" for one in several)]
    return lines


def _given(own: ForgetListSettings, listing: Listing, call: Call) -> Rows:
    """Return the rows of given IDs, or of an existing list."""
    from falw_cli.data import forget_list as lists
    from falw_cli.data import loading

    if own.where or own.ratio is not None or own.count is not None or (own.id and own.forget):
        raise RequestError(
            "--id and --forget conflict with each other and with --where, --ratio and --count",
            "give one of them",
        )
    if own.forget:
        return loading.read_list(own.forget, listing, call.console)[1]
    return lists.find(own.id, listing.ids)


def _drawn(own: ForgetListSettings, whole: Listing, config: Config, call: Call) -> Rows:
    """Return the rows of samples that are selected by their columns, or drawn."""
    import numpy as np

    from falw_cli.data import forget_list as lists
    from falw_cli.data.metadata import columns_of

    rows = np.arange(len(whole.ids))
    if own.where:
        columns = columns_of(whole, config.metadata, call.console)
        rows = columns.matching(own.where, call.console)
    labels, classes = whole.labels[rows], whole.classes
    available = np.bincount(labels, minlength=len(classes))
    if own.class_name is not None:
        if own.class_name not in classes:
            raise unknown_name("class", own.class_name, classes)
        available = np.where(np.array(classes) == own.class_name, available, 0)
    total = _total(own, int(available.sum()))
    if not total:
        raise RequestError(
            f"no sample of class {own.class_name!r} matches {', '.join(own.where)}",
            "leave out --class or --where",
        )
    sizes = lists.tail_sizes(available, total, own.gamma, config.seed)
    return rows[lists.draw(labels, sizes, config.seed)]


def _total(own: ForgetListSettings, available: int) -> int:
    """Return the number of samples to draw; with --where alone, all."""
    if own.where and own.ratio is None and own.count is None:
        return available
    if (own.ratio is None) == (own.count is None):
        if own.count is not None:
            raise RequestError("--ratio and --count are both given", "give one of them")
        raise RequestError(
            "nothing says which samples the list holds",
            "draw it by --ratio 0.1 or --count 20, select it by --where COLUMN=VALUE, or check IDs "
            "by --id ID or --forget FILE",
        )
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
