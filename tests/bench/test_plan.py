"""A bench config is checked completely before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from falw_cli.bench.plan import entries, read, scenarios, search_scenarios
from falw_cli.errors import RequestError

GOOD = {
    "datasets": {"digits": {"data": "digits", "heldout": "digits", "train": {"epochs": 2}}},
    "archs": ["tiny-cnn"],
    "ratios": [0.1, 0.3],
    "gammas": [0, 1],
    "seeds": [1, 2],
    "entries": [{"methods": ["random-label", "salun"], "weightings": ["none", "falw"]}],
}


def written(folder: Path, **change: object) -> Path:
    file = folder / "bench.yaml"
    file.write_text(yaml.safe_dump(GOOD | change))
    return file


def test_entries_are_methods_times_weightings(tmp_path: Path) -> None:
    bench = read(written(tmp_path))
    assert [entry.label for entry in entries(bench)] == [
        "random-label x none", "random-label x falw", "salun x none", "salun x falw",
    ]  # fmt: skip
    assert len(list(scenarios(bench))) == 2 * 2 * 2
    assert [scenario.seed for scenario in search_scenarios(bench)] == [0]


def test_a_method_that_searches_its_own_rate_has_rates_to_search(tmp_path: Path) -> None:
    """Candidates surround the start of the method's own search, or its default rate."""
    bench = read(written(tmp_path, entries=[{"methods": ["falw-paper", "salun"]}]))
    for entry in entries(bench):
        assert len(entry.rates(bench.search)) == len(bench.search.factors)
        assert all(rate > 0 for rate in entry.rates(bench.search))


def test_an_entry_inherits_training_settings_as_a_checkpoint_would(tmp_path: Path) -> None:
    digits = {**GOOD["datasets"]["digits"], "train": {"flip": True, "weight_decay": 0.01}}  # type: ignore[index]
    bench = read(written(tmp_path, datasets={"digits": digits}))
    recipe = entries(bench)[0].config.unlearn
    assert recipe.flip
    assert recipe.weight_decay == 0.01


def test_method_defaults_override_training_settings(tmp_path: Path) -> None:
    recipe = entries(read(written(tmp_path, entries=[{"methods": ["match"]}])))[0].config.unlearn
    assert (recipe.optimizer, recipe.weight_decay, recipe.lr) == ("adamw", 0.0, "auto")


def test_paths_are_relative_to_the_config(tmp_path: Path) -> None:
    sets = {"a": {"data": "imagefolder:train", "heldout": "imagefolder:test"}}
    bench = read(written(tmp_path, datasets=sets))
    assert bench.datasets["a"].data == f"imagefolder:{tmp_path / 'train'}"


def test_reference_free_search_is_lr_auto(tmp_path: Path) -> None:
    bench = read(written(tmp_path, search={"rule": "reference-free"}))
    assert {(e.config.unlearn.lr, e.search) for e in entries(bench)} == {("auto", False)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"entries": [{"methods": ["random-labels"]}]}, "random-labels"),
        ({"entries": [{"methods": ["finetune"], "weightings": ["falw"]}]}, "finetune"),
        ({"entries": [{"methods": ["match"], "unlearn": {"epoch": 3}}]}, "epoch"),
        ({"entries": [{"methods": ["match"], "unlearn": {"hyperparameters": {"x": 1}}}]}, "'x'"),
        ({"entries": [{"methods": ["match"]}, {"methods": ["match"]}]}, "match x none"),
        ({"archs": ["resnet19"]}, "resnet19"),
        ({"seeds": [1, 1]}, "twice"),
        ({"ratios": [1.5]}, "less than 1"),
        ({"entires": []}, "entires"),
        ({"references": 1}, "greater than or equal to 2"),
    ],
)
def test_impossible_cells_are_named(tmp_path: Path, change: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        entries(read(written(tmp_path, **change)))


def test_the_search_seed_is_never_scored(tmp_path: Path) -> None:
    bench = read(written(tmp_path, search={"seed": 2}))
    with pytest.raises(RequestError, match="scored"):
        list(search_scenarios(bench))
