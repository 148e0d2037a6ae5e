"""Peak memory in bytes, on systems that count in other units or not at all."""

from __future__ import annotations

import resource
import sys
from types import SimpleNamespace

import psutil
import pytest

from falw_cli.runtime.memory import peak_memory


def test_the_peak_is_at_least_the_memory_in_use() -> None:
    now, whole = psutil.Process().memory_info().rss, psutil.virtual_memory().total
    assert 0.9 * now <= peak_memory() <= whole


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1), ("freebsd", 1024)])
def test_the_unit_is_that_of_the_system(
    monkeypatch: pytest.MonkeyPatch, platform: str, unit: int
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=7))
    assert peak_memory() == 7 * unit


@pytest.mark.parametrize(
    ("known", "peak"), [({"rss": 5, "peak_wset": 9}, 9), ({"rss": 5}, 5)], ids=["Windows", "other"]
)
def test_without_the_module_resource_psutil_answers(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, int], peak: int
) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda _: SimpleNamespace(**known))
    assert peak_memory() == peak
