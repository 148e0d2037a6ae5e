"""Model folders saved by libraries: their JSON files and class names."""

from __future__ import annotations

from pathlib import Path

import pytest

from falw_cli.errors import RequestError
from falw_cli.models import folder
from falw_cli.models.folder import class_names, name_notes


def test_class_names_keep_their_order() -> None:
    assert class_names({"1": "b", "0": "a"}, 2) == ("a", "b")
    assert class_names(["a", "b"], 2) == ("a", "b")
    assert class_names(["a"], 2) == ("0", "1")
    assert class_names(None, 2) == ("0", "1")
    assert class_names({0: "a", 1: 7}, 2) == ("0", "1")


@pytest.mark.parametrize(
    ("given", "back", "said"),
    [({"1": "a", "2": "b"}, None, "not used: it does not name the outputs 0 to 1"),
     (["a"], None, "not used"), ({"0": "a", "1": "b"}, {"a": 1, "b": 0}, "contradicts it: 'a'"),
     ({"0": "a", "1": "b"}, {"a": 0, "b": 1}, None), ({"0": "a", "1": "a"}, {"a": 1}, None),
     ({"0": "0", "1": "1"}, None, None), (None, None, None)],
)  # fmt: skip
def test_names_that_are_not_used_or_contradicted_are_noted(
    given: object, back: object, said: str | None
) -> None:
    notes = name_notes("id2label", given, 2, back)
    assert len(notes) == bool(said)
    assert all(said in note for note in notes if said)


def test_the_config_of_a_folder_or_of_a_file_in_it(tmp_path: Path) -> None:
    assert folder.read_config(tmp_path) == (tmp_path, {})
    (tmp_path / "config.json").write_text('{"a": 1}')
    assert folder.read_config(tmp_path) == (tmp_path, {"a": 1})
    assert folder.read_config(tmp_path / "model.safetensors") == (tmp_path, {"a": 1})


@pytest.mark.parametrize(
    ("content", "said"), [("{", "is not JSON"), ("[]", "JSON object"), ("[" * 10**5, "JSON")]
)
def test_broken_files_are_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RequestError, match=said):
        folder.read_config(tmp_path)


def test_files_that_are_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LIMIT", 8)
    (tmp_path / "config.json").write_text('{"a": "123456789"}')
    with pytest.raises(RequestError, match="is larger than"):
        folder.read_config(tmp_path)


def test_history_is_that_of_falw(tmp_path: Path) -> None:
    assert folder.history(tmp_path) == {}
    (tmp_path / "falw.json").write_text(
        '{"arch": "a", "classes": [], "preprocessing": {}, "unlearned": {"method": "match"}}'
    )
    found = folder.history(tmp_path)
    assert found == {"recipe": None, "left_out": None, "unlearned": {"method": "match"}}
    (tmp_path / "falw.json").write_text("{}")
    with pytest.raises(RequestError, match="not valid falw metadata"):
        folder.history(tmp_path)
