"""Earlier requests of a model that nothing names: a run is refused, since it would teach them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from falw_cli.config.paths import similar
from falw_cli.config.settings import Config
from falw_cli.data.forget_list import ForgetList
from falw_cli.data.ledger import CHECK_PATH, Entry
from falw_cli.errors import RequestError
from falw_cli.models.chain import outputs_in_chain, uncovered
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.models.earlier import NONE, Earlier, Request, of_process
from falw_cli.runtime.printable import counted
from falw_cli.runtime.progress import Progress


def refuse_unlearned(config: Config, source: Checkpoint, recorded: Sequence[Entry]) -> None:
    """Refuse a model that was unlearned before, unless its earlier requests are known.

    Args: recorded, runs of the ledger.

    Raises:
        RequestError: its samples would count as retain samples.
    """
    if config.forgotten or config.no_retain:
        return
    chain = outputs_in_chain(source, recorded)
    missing = uncovered(source, [*recorded, *of_process(chain, recorded)])
    if not missing:
        return
    if config.ledger and not Path(config.ledger).exists():
        raise RequestError(
            f"{source.path} was unlearned before, and there is no ledger {config.ledger}",
            f"{similar(config.ledger)}{CHECK_PATH}; to begin a new ledger, add --forgotten FILE "
            "with the earlier IDs, or --forgotten none if those samples are no longer in the data",
        )
    if config.ledger:
        runs = "its run" if len(missing) == 1 else f"{len(missing)} of its runs"
        raise RequestError(
            f"{source.path} was unlearned before, and ledger {config.ledger} does not hold {runs}",
            "add --forgotten FILE with the earlier IDs, or --forgotten none if those samples are "
            "no longer in the data",
        )
    raise RequestError(
        f"{source.path} was unlearned before: samples of the earlier request that are still in "
        "the data would be learned again",
        "name them with --forgotten FILE or --ledger FILE, or give --forgotten none if they are "
        "no longer in the data",
    )


def refuse_unnamed(config: Config, source: Checkpoint, earlier: Earlier) -> None:
    """Refuse --forgotten files that are some lists of the model, while other lists are not known.

    A file that is none of its lists may hold the IDs of several ones.

    Raises:
        RequestError: samples of the other lists would count as retain samples.
    """
    missing = [one for one in earlier.requests if one.source == "checkpoint"]
    if config.no_retain or not config.forgotten or NONE in config.forgotten or not missing:
        return
    if not _of_several(source, earlier):
        digests = _digests(missing)
        raise RequestError(
            f"{source.path} was unlearned with {counted(len(missing), 'list')} more than "
            f"--forgotten names (SHA-256 {digests}): samples that are still in the data would be "
            "learned again",
            "name all lists with --forgotten FILE, or add --forgotten none if the samples of the "
            "others are no longer in the data",
        )


def _digests(missing: Sequence[Request]) -> str:
    return ", ".join(f"{(one.sha256 or 'unknown')[:12]}…" for one in missing[:5])


def _of_several(source: Checkpoint, earlier: Earlier) -> bool:
    """Return whether a file of --forgotten is none of the model's lists, so may hold several."""
    lists = {one.forget_list for one in (source.metadata.chain if source.metadata else ())}
    return any(one.source == "list" and one.sha256 not in lists for one in earlier.requests)


def warn_of_unknown(
    config: Config,
    source: Checkpoint,
    earlier: Earlier,
    named: ForgetList | None,
    progress: Progress,
) -> None:
    """Note what is left out, and warn of earlier requests whose samples may count as retained."""
    unknown = [one for one in earlier.requests if one.source == "checkpoint"]
    # An older falw did not store the digest of the list: the forget list may be that list.
    if len(unknown) == 1 and unknown[0].sha256 is None and named:
        unknown = []
    listed = [(len(one.rows), one.count or 0) for one in earlier.requests if one.rows is not None]
    if config.no_retain:  # no step uses a sample that is not on the list
        unknown = []
    elif listed and not any(found for found, _ in listed):
        progress.warn(
            f"no sample of earlier requests ({sum(count for _, count in listed):,} IDs) is in "
            "the training data: that is right only if they were deleted; other --data has other "
            "IDs, and then they count as retain samples (`falw inspect` shows the IDs)"
        )
    for found, count in listed:
        if 0 < found < count and not config.no_retain:
            progress.warn(
                f"an earlier request has {count:,} IDs, of which {count - found:,} are not in the "
                "training data: that is right only if they were deleted; renamed samples count as "
                "retain samples"
            )
    lists = counted(len(unknown), "earlier list")
    if unknown and NONE not in config.forgotten:
        progress.warn(
            f"no file of --forgotten is the earlier list of the model (SHA-256 {_digests(unknown)})"
            ": samples of that list that no file names count as retain samples"
            if _of_several(source, earlier) and len(unknown) == 1
            else f"{lists} of the model: in no file of --forgotten alone; samples that no file "
            "names count as retain samples, so a file must have the IDs of several lists"
            if _of_several(source, earlier)
            else f"{lists} of the model: not given; samples that are still in the data count as "
            "retain samples; name them with --forgotten or --ledger"
        )
    if len(earlier.rows):
        progress.note(
            f"samples of earlier requests in the data: {len(earlier.rows):,}; they are neither "
            "forget nor retain samples"
        )
