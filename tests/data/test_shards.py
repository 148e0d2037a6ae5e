"""The files of a source: read or counted, hidden ones left out, missing shards refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from falw_cli.data.opening import parse_spec
from falw_cli.data.shards import FilesOfPart, files_of
from falw_cli.errors import RequestError


def found(folder: Path, names: tuple[str, ...], part: str = "") -> FilesOfPart:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return files_of(parse_spec(f"webdataset:{folder}{part}", "train"), frozenset({".tar"}), "tar")


@pytest.mark.parametrize(
    ("names", "read", "notes"),
    [
        (("a.tar", "b.TAR", "c/d.tar"), ["a.tar", "b.TAR", "c/d.tar"], []),
        (("a.tar", "b.tgz", "c.md", "d.md"), ["a.tar"], [".md (2), .tgz (1)"]),
        (("a.tar", "._a.tar", ".b.tar"), ["a.tar"], ["._* (1), hidden (1)"]),
        (("a.tar", ".cache/b.tar", "__MACOSX/a.tar"), ["a.tar"],
         ["2 hidden folders were passed over: .cache, __MACOSX"]),
    ],
    ids=["any case", "other kinds", "hidden files", "hidden folders"],
)  # fmt: skip
def test_every_file_is_read_or_counted(
    tmp_path: Path, names: tuple[str, ...], read: list[str], notes: list[str]
) -> None:
    part = found(tmp_path, names)
    assert [str(file.relative_to(tmp_path)) for file in part.files] == read
    assert len(part.notes) == len(notes)
    assert all(note in said for note, said in zip(notes, part.notes, strict=True))


def test_a_linked_folder_is_counted(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "more").symlink_to(tmp_path)
    assert "linked folder (1)" in found(tmp_path / "d", ("a.tar",)).notes[0]


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("train-00000-of-00002.tar",), "1 of 2 .*train-00001-of-00002"),
        (("d/00002-of-00003.tar",), "2 of 3 .*d/00000-of-00003"),
        (("a-00000-of-99999999.tar",), "99999998 of 99999999"),
        (("a-00000-of-00002.tar", "b-00001-of-00002.tar"), "1 of 2"),
        (("a-00000-of-00002-1f.tar", "a-00001-of-00002-e0.tar"), None),
        (("a-00001-of-00002.tar", "a-00002-of-00002.tar"), None),
        (("0.tar", "7.tar"), None),
    ],
)
def test_a_missing_shard_is_refused(
    tmp_path: Path, names: tuple[str, ...], missing: str | None
) -> None:
    if missing is None:
        assert len(found(tmp_path, names).files) == len(names)
        return
    with pytest.raises(RequestError, match=missing):
        found(tmp_path, names)
    file = parse_spec(f"webdataset:{tmp_path / names[0]}", "train")
    assert files_of(file, frozenset({".tar"}), "tar").files == [tmp_path / names[0]]


def test_only_shards_of_the_part_are_needed(tmp_path: Path) -> None:
    names = ("train-00000-of-00002.tar", "test-00000-of-00001.tar")
    assert len(found(tmp_path, names, "#test").files) == 1
    with pytest.raises(RequestError, match="1 of 2 shards"):
        found(tmp_path, names, "#train")


def test_a_folder_without_such_files_names_the_others(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no tar file") as caught:
        found(tmp_path, ("a.tar.gz",))
    assert ".gz (1)" in caught.value.hint


@pytest.mark.parametrize(
    ("names", "part", "read", "notes"),
    [
        (("train-a.tar", "more.tar"), "#train", ["train-a.tar"],
         ["1 file whose path names no part was passed over: more.tar"]),
        (("train-a.tar", "more.tar"), "", ["more.tar", "train-a.tar"], []),
        (("train-a.tar", "Train-b.tar", "val.tar"), "#TRAIN", ["Train-b.tar", "train-a.tar"], []),
        (("dev/train.tar", "dev/test.tar"), "#train", ["dev/train.tar"], []),
        (("dev/train.tar", "dev/test.tar"), "#test", ["dev/test.tar"], []),
        (("dev/train/0.tar", "dev/test/0.tar"), "#test", ["dev/test/0.tar"], []),
        (("train/a_b.tar", "test/c.tar"), "#train", ["train/a_b.tar"], []),
        (("extra/0.tar", "test.tar"), "#Extra", ["extra/0.tar"], []),
    ],
)  # fmt: skip
def test_the_part_of_a_file(
    tmp_path: Path, names: tuple[str, ...], part: str, read: list[str], notes: list[str]
) -> None:
    part_of = found(tmp_path / "d", names, part)
    assert [str(file.relative_to(tmp_path / "d")) for file in part_of.files] == read
    assert part_of.notes == tuple(notes)


@pytest.mark.parametrize(
    ("name", "part", "said"),
    [
        ("train-0.tar", "train", None),
        ("train/0.tar", "Train", None),
        ("train-0.tar", "test", "choose from: #train"),
        ("0.tar", "train", "leave out #train"),
    ],
)
def test_the_part_of_one_file(tmp_path: Path, name: str, part: str, said: str | None) -> None:
    found(tmp_path / "d", (name,))
    spec = parse_spec(f"webdataset:{tmp_path / 'd' / name}#{part}", "train")
    if said is None:
        assert files_of(spec, frozenset({".tar"}), "tar").files == [tmp_path / "d" / name]
        return
    with pytest.raises(RequestError, match=f"no part '{part}'") as caught:
        files_of(spec, frozenset({".tar"}), "tar")
    assert caught.value.hint == said
