"""Paths as people write them: `~`, quotes, URL encoding, backslashes, Unicode, no kind."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from falw_cli.config.paths import at_home, check_spelling, other_spelling, similar
from falw_cli.config.resolution import resolve
from falw_cli.errors import RequestError

NAME = unicodedata.normalize("NFC", "my été")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder and the user's folder, with a folder of data and a list."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "ids.txt").write_text("1\n")
    return tmp_path


@pytest.mark.parametrize(
    "written",
    [
        f'"{NAME}/ids.txt"', f" {NAME}/ids.txt", f"{NAME}\\ids.txt",
        f"{NAME}/ids.txt".replace(" ", "%20"), "my%20%C3%A9t%C3%A9/ids.txt",
        unicodedata.normalize("NFD", f"{NAME}/ids.txt"), "my%20%C3%A9t%C3%A9\\ids.txt",
    ],
)  # fmt: skip
def test_another_spelling_of_an_existing_path_is_named(folder: Path, written: str) -> None:
    assert other_spelling(written) == f"{NAME}/ids.txt"
    with pytest.raises(RequestError, match="there is no") as refused:
        resolve("unlearn", {"forget": written})
    assert refused.value.hint == f"did you mean {f'{NAME}/ids.txt'!r}?"


def test_a_uri_of_a_file_is_named(folder: Path) -> None:
    file = folder / NAME / "ids.txt"
    assert other_spelling(file.as_uri()) == str(file)


@pytest.mark.parametrize(
    "written", [f"{NAME}/ids.txt", f"./{NAME}/../{NAME}/ids.txt", "absent", "", "a\0b", "a%20b"]
)
def test_other_paths_are_taken_as_they_are(folder: Path, written: str) -> None:
    assert other_spelling(written) is None


@pytest.mark.parametrize("flag", ["data", "heldout", "test"])
@pytest.mark.parametrize(
    ("written", "meant"), [("images", "imagefolder:images"), ("a.csv", "csv:a.csv")]
)
def test_data_without_a_kind_is_named_with_it(
    folder: Path, flag: str, written: str, meant: str
) -> None:
    (folder / "images").mkdir()
    (folder / "a.csv").write_text("")
    with pytest.raises(RequestError, match="has no kind") as refused:
        resolve("unlearn", {flag: written})
    assert refused.value.hint == f"did you mean {meant!r}?"


def test_a_tilde_is_the_users_folder_in_flags_and_files(folder: Path) -> None:
    config = resolve(
        "unlearn",
        {"data": f"imagefolder:~/{NAME}#train", "forget": f"~/{NAME}/ids.txt", "out": "~/a.pt",
         "test": "torchvision:CIFAR10:~/c", "reference": ["~/r.pt", "s.pt"]},
    )  # fmt: skip
    assert config.data == f"imagefolder:{folder}/{NAME}#train"
    assert config.forget == f"{folder}/{NAME}/ids.txt"
    assert config.out == f"{folder}/a.pt"
    assert config.test == f"torchvision:CIFAR10:{folder}/c"
    assert config.reference == (f"{folder}/r.pt", "s.pt")
    (folder / "there").mkdir()
    (folder / "there" / "falw.yaml").write_text("data: imagefolder:~/d\nreference: ['~/r.pt']\n")
    config = resolve("unlearn", {}, Path("there/falw.yaml"))
    assert config.data == f"imagefolder:{folder}/d"
    assert config.reference == (f"{folder}/r.pt",)


def test_a_file_whose_name_is_a_tilde_stays(folder: Path) -> None:
    (folder / "~").mkdir()
    (folder / "~" / "ids.txt").write_text("1\n")
    assert resolve("unlearn", {"forget": "~/ids.txt"}).forget == "~/ids.txt"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("id.txt", "ids.txt"), ("ids.text", "ids.txt"), ("a.safetensors", None), ("ids.txt", None),
     ("gone/ids.txt", None), ("", None), (".", None)],
)  # fmt: skip
def test_a_similar_name_of_a_missing_file_is_named(
    folder: Path, written: str, meant: str | None
) -> None:
    for name in ("ids.txt", "m.safetensors"):
        (folder / name).touch()
    assert similar(written) == (f"did you mean {meant!r}? " if meant else "")


def test_a_name_that_is_too_long_for_a_file_is_no_crash() -> None:
    assert at_home("a" * 300) == "a" * 300
    assert other_spelling("'" + "a" * 300) is None
    check_spelling({"data": "a" * 300}, {"data": "data"})
