"""Requests that nothing names: a run is refused, an evaluation warns."""

from __future__ import annotations

from pathlib import Path

import pytest

from falw_cli.config.settings import Config
from falw_cli.data import forget_list
from falw_cli.errors import RequestError
from falw_cli.models import unknown_requests
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.models.earlier import recorded_runs
from falw_cli.models.unknown_requests import refuse_unnamed, warn_of_unknown
from falw_cli.runtime.progress import Silent
from tests.models.test_earlier import (
    CHAIN,
    FIRST,
    IDS,
    LIST1,
    SECOND,
    U2,
    M,
    model,
    opened,
    recorded,
    run,
    said,
)  # fmt: skip


def refuse_unlearned(config: Config, source: Checkpoint) -> None:
    unknown_requests.refuse_unlearned(config, source, recorded_runs(config))


def test_every_run_of_the_chain_must_be_known(tmp_path: Path) -> None:
    refuse_unlearned(recorded(tmp_path, FIRST, SECOND), model(said()))
    refuse_unlearned(Config(), model(said(unlearned=None)))
    refuse_unlearned(Config(), model(None))
    refuse_unlearned(Config(forgotten=("none",)), model(said()))
    for config, says in (
        (Config(), "was unlearned before: "),
        (recorded(tmp_path, SECOND), "does not hold its run"),
        (recorded(tmp_path), "does not hold 2 of its runs"),
    ):
        with pytest.raises(RequestError, match=says) as told:
            refuse_unlearned(config, model(said()))
        assert "--forgotten" in told.value.hint


def test_a_mistyped_ledger_of_an_unlearned_model_is_named(tmp_path: Path) -> None:
    absent = Config(ledger=str(tmp_path / "absent"))
    with pytest.raises(RequestError, match="there is no ledger ") as told:
        refuse_unlearned(absent, model(said()))
    assert "check the path after --ledger or in FALW_LEDGER" in told.value.hint
    refuse_unlearned(absent, model(None))


def test_a_model_of_an_older_falw_is_refused_too() -> None:
    for parent in (M, None):
        with pytest.raises(RequestError, match="unlearned before"):
            refuse_unlearned(Config(), model(said(ancestors=(), parent=parent)))


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (("a",), True),
        (("a", "none"), False),  # the samples of the other list are no longer in the data
        (("a", "b"), False),
        (("both",), False),  # it has another digest: it may hold several lists
        (("a", "both"), False),
    ],
)
def test_files_must_name_every_list_of_the_model(
    tmp_path: Path, given: tuple[str, ...], refused: bool
) -> None:
    for name, ids in (("a", IDS[:3]), ("b", [*IDS[3:5], "gone"]), ("both", IDS[:5])):
        (tmp_path / name).write_text("\n".join(ids))
    first, second = (forget_list.read(str(tmp_path / name)).sha256 for name in "ab")
    chain = tuple(
        one.model_copy(update={"forget_list": digest})
        for one, digest in zip(CHAIN, (first, None, second), strict=True)
    )
    source = model(said(ancestors=chain))
    files = tuple(one if one == "none" else str(tmp_path / one) for one in given)
    config, progress = Config(forgotten=files), Silent()
    found = opened(config, source)
    warn_of_unknown(config, source, found, None, progress)
    assert (
        any("1 earlier list of the model: not given" in one for one in progress.warnings) == refused
    )
    if not refused:
        refuse_unnamed(config, source, found)
        return
    with pytest.raises(RequestError, match="with 1 list more than --forgotten names") as told:
        refuse_unnamed(config, source, found)
    assert "--forgotten none" in told.value.hint
    refuse_unnamed(config.model_copy(update={"no_retain": True}), source, found)


@pytest.mark.parametrize("lists", [1, 2])
def test_a_file_that_is_not_the_earlier_list_is_named(tmp_path: Path, lists: int) -> None:
    (tmp_path / "part").write_text("\n".join(IDS[:2]))
    chain = CHAIN if lists == 2 else CHAIN[:1]
    source, progress = model(said(ancestors=chain)), Silent()
    config = Config(forgotten=(str(tmp_path / "part"),))
    warn_of_unknown(config, source, opened(config, source), None, progress)
    says = "in no file of --forgotten alone"
    if lists == 1:
        says = f"no file of --forgotten is the earlier list of the model (SHA-256 {LIST1[:12]}…)"
    assert any(says in one for one in progress.warnings)


@pytest.mark.parametrize(
    ("ids", "more"),
    [
        (["gone"], {}),
        (IDS[:1], {}),
        (["gone"], {"no_retain": True}),
        ([*IDS[:1], "gone"], {}),
        ([*IDS[:1], "gone"], {"no_retain": True}),
    ],
)
def test_earlier_samples_that_are_absent_are_a_warning(
    tmp_path: Path, ids: list[str], more: dict[str, bool]
) -> None:
    progress, config = Silent(), recorded(tmp_path, run(ids, M, U2, LIST1))
    found = opened(config, model(None))
    warn_of_unknown(config.model_copy(update=more), model(None), found, None, progress)
    warned = any("no sample of earlier requests (1 IDs)" in one for one in progress.warnings)
    partly = any("2 IDs, of which 1 are not" in one for one in progress.warnings)
    assert warned == (ids == ["gone"] and not more)
    assert partly == (len(ids) == 2 and not more)
