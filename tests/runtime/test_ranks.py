"""Detection of the rank, and requests that several ranks refuse."""

from __future__ import annotations

import pytest

from falw_cli.config.settings import Config
from falw_cli.errors import RequestError
from falw_cli.runtime import ranks
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.ranks import RankInfo

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "8", "GROUP_WORLD_SIZE": "2"}
SLURM = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_NNODES": "1", "SLURM_JOB_NAME": "night"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (TORCHRUN, RankInfo(5, 8, 2)),
        (SLURM, RankInfo(3, 4, 1)),
        (SLURM | {"SLURM_JOB_NAME": "bash"}, None),
        (SLURM | {"SLURM_NTASKS": "1"}, None),
    ],
)
def test_ranks_are_found_by_their_environment(
    environment: dict[str, str], expected: RankInfo | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ranks.detect() == expected


def test_one_device_starts_nothing() -> None:
    assert ranks.launch(Config()) is None
    assert ranks.launch(Config(devices=1)) is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"devices": 2}, "4 ranks were started"),
        ({"device": "cuda:1"}, "one each"),
        ({"forget": "-"}, "stdin"),
        ({"without": "-"}, "stdin"),
    ],
)
def test_unsupported_requests_of_ranks_are_refused(asked: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        ranks.check(Config.model_validate(asked), RankInfo(0, 8, 2))


def test_machines_need_a_master_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(RequestError) as caught:
        ranks.launch(Config(nodes=2))
    assert "MASTER_ADDR" in caught.value.hint


def test_one_process_cannot_use_several_devices() -> None:
    with pytest.raises(RequestError, match="one process each"):
        make_fabric(Config(device="cpu", devices=2))
