"""Earlier requests: which runs of a model's chain are known, and which samples they name."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from falw_cli.config.settings import Config, Preprocessing
from falw_cli.data import forget_list, ledger
from falw_cli.data.forget_list import ForgetList
from falw_cli.errors import RequestError
from falw_cli.models import earlier
from falw_cli.models.checkpoint import Ancestor, Checkpoint, Metadata
from falw_cli.models.earlier import Earlier, open_earlier, recorded_runs
from falw_cli.models.unknown_requests import refuse_unlearned
from falw_cli.runtime.progress import Silent

IDS = [f"{n}.png" for n in range(10)]
M, U1, U2, COPY = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
LIST1, LIST2 = "1" * 64, "2" * 64
CHAIN = (
    Ancestor(sha256=M, forget_list=LIST1),
    Ancestor(sha256=U1, step="converted"),
    Ancestor(sha256=COPY, forget_list=LIST2),
)
"""The model U2: an original, unlearned, converted, unlearned."""


def said(**more: object) -> Metadata:
    known = {"arch": "tiny-cnn", "classes": ("a", "b"), "preprocessing": Preprocessing()}
    return Metadata.model_validate({**known, "unlearned": {}, "ancestors": CHAIN, **more})


def model(metadata: Metadata | None) -> Checkpoint:
    return Checkpoint(Path("u2.safetensors"), U2, {}, metadata=metadata)


def run(
    ids: list[str], of: str, output: str, digest: str, forgotten: Literal[False] | None = None
) -> ledger.Run:
    names = ("u.safetensors", "e" * 64, "u.audit.json")
    return ledger.Run(ids, of, digest, output, *names, forgotten)


def recorded(tmp_path: Path, *runs: ledger.Run) -> Config:
    content = b""
    for one in runs:
        content += ledger.next_line(content, one.entry(), "ledger")
    file = tmp_path / f"ledger-{len(runs)}"
    file.write_bytes(content)
    return Config(ledger=str(file))


def opened(
    config: Config, source: Checkpoint, named: ForgetList | None = None, *rows: int,
    until: datetime | None = None,
) -> Earlier:  # fmt: skip
    runs = recorded_runs(config, until)
    return open_earlier(config, source, runs, IDS, named, np.array(rows, np.int64), Silent())


LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
FIRST, SECOND = run(IDS[:3], M, U1, LIST1), run(IDS[3:5], COPY, U2, LIST2)


def test_samples_are_found_by_ledger_and_by_list(tmp_path: Path) -> None:
    config = recorded(tmp_path, FIRST, run([*IDS[7:9], "gone"], "f" * 64, "0" * 64, "3" * 64))
    (tmp_path / "old.txt").write_text("5.png\n4.png\nabsent.png\n")
    config = config.model_copy(update={"forgotten": (str(tmp_path / "old.txt"),)})
    named = ForgetList((IDS[2], IDS[9]), "4" * 64, 0)
    found = opened(config, model(said()), named, 2, 9)
    assert [(one.source, one.count, one.of_this_model) for one in found.requests] == [
        ("list", 3, True), ("ledger", 3, True), ("checkpoint", None, True), ("ledger", 3, False),
    ]  # fmt: skip
    assert [part.tolist() for part in found.parts] == [[4, 5], [0, 1], [], [7, 8]]
    assert found.rows.tolist() == [0, 1, 4, 5, 7, 8]
    assert found.again == 1
    assert found.requests[2].sha256 == LIST2


@pytest.mark.parametrize(
    ("given", "says"),
    [("None", "--forgotten None: there is no such file"), ("old.txt", "list of --forgotten old")],
)
def test_a_list_that_does_not_exist_is_named_with_its_flag(given: str, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        opened(Config(forgotten=(given,)), model(said()))


def test_the_forget_list_is_no_earlier_request(tmp_path: Path) -> None:
    named = ForgetList(tuple(IDS[:3]), LIST1, 0)
    config = recorded(tmp_path, FIRST, SECOND)
    found = opened(config, model(said()), named, 0, 1, 2)
    assert [one.sha256 for one in found.requests] == [LIST2]
    until = opened(config, model(said()), named, 0, 1, 2, until=FIRST.entry().created)
    assert [one.source for one in until.requests] == ["ledger"]  # both were recorded before
    until = opened(config, model(said()), named, 0, 1, 2, until=LONG_AGO)
    assert [one.source for one in until.requests] == ["checkpoint"]


def test_a_list_that_is_named_as_earlier_is_one(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("1.png\n")
    named = forget_list.read(str(tmp_path / "ids.txt"))
    config = Config(forgotten=(str(tmp_path / "ids.txt"),))
    found = opened(config, model(None), named, 1)
    assert (len(found.requests), found.again, found.rows.tolist()) == (1, 1, [])


def test_copies_of_an_earlier_run_are_left_out_too(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\n".join(IDS[:3]))
    digest = forget_list.read(str(tmp_path / "ids.txt")).sha256
    with_copies = [run([*IDS[:3], copy], M, output, digest)
                   for copy, output in ((IDS[7], U1), (IDS[8], "9" * 64))]  # fmt: skip
    config = recorded(tmp_path, *with_copies)
    named = config.model_copy(update={"forgotten": (str(tmp_path / "ids.txt"),)})
    for each in (config, named):
        found = opened(each, model(said()))
        assert found.rows.tolist() == [0, 1, 2, 7, 8]
        assert [one.count for one in found.requests if one.sha256 == digest] == [4]


@pytest.mark.parametrize("metadata", [None, said()])
def test_only_a_run_of_this_model_forgot_a_list(tmp_path: Path, metadata: Metadata | None) -> None:
    failed = run(IDS[:3], M, COPY, LIST1, False)
    other = run(IDS[5:7], "f" * 64, "0" * 64, "5" * 64)
    (tmp_path / "ids.txt").write_text(IDS[8])
    config = recorded(tmp_path, failed, SECOND, other)
    config = config.model_copy(update={"forgotten": (str(tmp_path / "ids.txt"),)})
    found = {one.sha256: one.forgotten for one in opened(config, model(metadata)).requests}
    digest = forget_list.read(str(tmp_path / "ids.txt")).sha256
    # Metadata has precedence: there, the first run did not fail.
    assert found == {LIST1: metadata is not None, LIST2: True, "5" * 64: None, digest: None}
    again = recorded(tmp_path, failed, run(IDS[:3], COPY, U2, LIST1))
    assert [one.forgotten for one in opened(again, model(None)).requests] == [True]


def test_a_file_of_ids_that_the_models_own_runs_hold_is_no_request(tmp_path: Path) -> None:
    (tmp_path / "both.txt").write_text("\n".join(reversed(IDS[:5])))
    config = recorded(tmp_path, FIRST, SECOND)
    config = config.model_copy(update={"forgotten": (str(tmp_path / "both.txt"),)})
    found = opened(config, model(said()))
    assert [one.source for one in found.requests] == ["ledger", "ledger"]
    alone = opened(Config(forgotten=config.forgotten), model(said()))
    assert [one.source for one in alone.requests] == ["list", "checkpoint", "checkpoint"]
    # No file is one more run of the model, nor is a run on another model.
    other = recorded(tmp_path, FIRST, SECOND, run(IDS[5:7], "f" * 64, "0" * 64, "5" * 64))
    assert [one.number for one in (found, alone, opened(other, model(said())))] == [2, 2, 2]


def test_a_list_of_the_chain_is_known_by_another_run_on_it(tmp_path: Path) -> None:
    other = run(IDS[:3], "f" * 64, "0" * 64, LIST1)
    first, second = opened(recorded(tmp_path, other), model(said())).requests
    assert (first.sha256, first.source, second.source) == (LIST1, "ledger", "checkpoint")
    assert first.of_this_model


@pytest.mark.parametrize("mine", [False, True])
def test_a_list_is_a_set_of_ids(tmp_path: Path, mine: bool) -> None:
    """A list in another order, of this model or another one, is the same request."""
    again = run(IDS[2::-1], COPY, U2, "7" * 64, False)
    other = run(IDS[2::-1], "f" * 64, "0" * 64, "8" * 64)
    named = ForgetList(tuple(IDS[2::-1]), "9" * 64, 0) if mine else None
    config = recorded(tmp_path, FIRST, again, other)
    found = opened(config, model(None), named, *((0, 1, 2) if mine else ()))
    assert [(one.sha256, one.forgotten) for one in found.requests] == (
        [] if mine else [("7" * 64, False)]  # the last run of this model decides
    )
    assert (found.number, found.of_others) == (0 if mine else 1, [])
    assert found.rows.tolist() == ([] if mine else [0, 1, 2])


def test_the_chain_knows_a_list_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\n".join(reversed(IDS[:3])))
    listed = ForgetList(tuple(IDS[:3]), LIST1, 0)
    chain = (CHAIN[0].model_copy(update={"ids": listed.ids_sha256}), *CHAIN[1:])
    config = Config(forgotten=(str(tmp_path / "ids.txt"),))
    found = opened(config, model(said(ancestors=chain)))
    assert [(one.source, one.sha256) for one in found.requests] == [
        ("list", LIST1), ("checkpoint", LIST2)
    ]  # fmt: skip
    again = (*chain[:2], CHAIN[2].model_copy(update={"ids": listed.ids_sha256}))
    (only,) = opened(config, model(said(ancestors=again))).requests
    assert only.sha256 == LIST2  # the last run on these IDs


def test_a_file_without_metadata_has_its_chain_in_the_ledger(tmp_path: Path) -> None:
    config = recorded(tmp_path, run(IDS[:3], M, COPY, LIST1), SECOND)
    found = opened(config, model(None))
    assert [one.of_this_model for one in found.requests] == [True, True]


def test_a_process_remembers_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier, "_DONE", [])
    earlier.remember(FIRST.entry())
    earlier.remember(SECOND.entry())
    earlier.remember(
        run(IDS[8:], M, "9" * 64, "9" * 64).entry()
    )  # another run on the same original
    refuse_unlearned(Config(), model(said()), ())
    found = opened(Config(), model(said()))
    assert [one.source for one in found.requests] == ["process", "process"]
    assert found.rows.tolist() == [0, 1, 2, 3, 4]
