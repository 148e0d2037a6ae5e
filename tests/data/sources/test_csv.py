"""The source csv."""

from __future__ import annotations

from pathlib import Path

import pytest

from falw_cli.data.listing import Listing
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from tests.data.pictures import make_folder


def test_it_takes_id_or_path(tmp_path: Path) -> None:
    make_folder(tmp_path, {"cat": 2})
    csv = tmp_path / "data.csv"
    csv.write_text("path,label\ncat/1.png,b\ncat/0.png,a\n")
    assert open_listing(f"csv:{csv}").ids == ("cat/0.png", "cat/1.png")
    csv.write_text("\ufeffid,path,label\r\nz,cat/1.png,7\r\ny,cat/0.png,2\r\n")
    listing = open_listing(f"csv:{csv}")
    assert listing.ids == ("y", "z")
    assert listing.labels.tolist() == [2, 7]
    assert listing.numbered


@pytest.mark.parametrize("where", ["../secret.png", "/etc/passwd"])
def test_it_does_not_reach_outside_its_folder(tmp_path: Path, where: str) -> None:
    csv = tmp_path / "data.csv"
    csv.write_text(f"path,label\n{where},a\n")
    with pytest.raises(RequestError, match=r"line 2.*outside"):
        open_listing(f"csv:{csv}")
    assert open_listing(f"csv:{csv}", allow_outside=True).ids == (where,)


def test_a_column_split(pictures: Listing, tmp_path: Path) -> None:
    lines = ["path,label,split"]
    for row, name in enumerate(pictures.ids):
        split = "train" if row % 2 else "test"
        lines.append(f"pictures/{name},{pictures.classes[pictures.labels[row]]},{split}")
    file = tmp_path / "data.csv"
    file.write_text("\n".join(lines))
    assert len(open_listing(f"csv:{file}").ids) == 5
    assert len(open_listing(f"csv:{file}#train").ids) == 2
    assert len(open_listing(f"csv:{file}#test").ids) == 3
    file.write_text("path,label\n")
    with pytest.raises(RequestError, match="no column split"):
        open_listing(f"csv:{file}#train")


@pytest.mark.parametrize("name", ["Split", "SPLIT", " split"])
def test_the_case_of_the_column_split_does_not_matter(tmp_path: Path, name: str) -> None:
    spec = _csv(tmp_path, f"path,label,{name}\np/ant/0.png,0,train\np/ant/1.png,1,test\n")
    assert "all values of the column split are used" in open_listing(spec).notes[0]
    assert open_listing(f"{spec}#test").labels.tolist() == [1]


def _csv(tmp_path: Path, text: str) -> str:
    make_folder(tmp_path / "p", {"ant": 3}, size=8)
    (tmp_path / "a.csv").write_text(text)
    return f"csv:{tmp_path / 'a.csv'}"


def test_any_value_of_the_column_split_is_a_part(tmp_path: Path) -> None:
    text = "path,label,split\np/ant/0.png,a,train\np/ant/1.png,b,val\np/ant/2.png,a,my_part\n"
    spec = _csv(tmp_path, text)
    assert open_listing(f"{spec}#val").ids == ("p/ant/1.png",)
    assert open_listing(f"{spec}#my_part").ids == ("p/ant/2.png",)
    whole = open_listing(spec)
    assert len(whole.ids) == 3
    assert "my_part 1, train 1, val 1" in whole.notes[0]
    with pytest.raises(RequestError, match="no part 'test'") as caught:
        open_listing(f"{spec}#test")
    assert caught.value.hint == "choose from: #my_part, #train, #val"


@pytest.mark.parametrize(
    ("splits", "part", "rows", "notes"),
    [
        (("train", "Train", ""), "train", [0, 1],
         ["without regard to case: Train 1, train 1", "1 row has no split and was passed over"]),
        (("Train", "Train", "val"), "train", [0, 1], ["without regard to case: Train 2"]),
        (("train", "", " "), "train", [0], ["2 rows have no split and were passed over"]),
        (("train", "train", "val"), "val", [2], []),
        (("train", "TRAIN", ""), "", [0, 1, 2], ["are used (none 1, TRAIN 1, train 1)"]),
    ],
)  # fmt: skip
def test_rows_of_no_part_and_the_case_of_parts_are_noted(
    tmp_path: Path, splits: tuple[str, ...], part: str, rows: list[int], notes: list[str]
) -> None:
    lines = [f"p/ant/{row}.png,{row},{split}" for row, split in enumerate(splits)]
    spec = _csv(tmp_path, "\n".join(["path,label,split", *lines]))
    found = open_listing(f"{spec}#{part}" if part else spec)
    assert found.labels.tolist() == rows
    assert found.table is not None
    assert found.table().columns["split"] == [splits[row] for row in rows]
    assert len(found.notes) == len(notes)
    assert all(note in said for note, said in zip(notes, found.notes, strict=True))


def test_paths_with_backslashes(tmp_path: Path) -> None:
    listing = open_listing(_csv(tmp_path, "path,label\np\\ant\\0.png,a\n"))
    assert listing.files.image(0) == tmp_path / "p" / "ant" / "0.png"
    assert listing.ids == ("p\\ant\\0.png",)
    assert "1 path has Windows' backslashes" in listing.notes[0]
    (tmp_path / "a.csv").write_text("path,label\np\\ant\\9.png,a\n")
    with pytest.raises(RequestError, match="no file") as caught:
        open_listing(f"csv:{tmp_path / 'a.csv'}")
    assert "backslashes" in (caught.value.hint or "")


def test_a_comma_without_quotes_does_not_become_a_label(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="line 2: more than 2 cells"):
        open_listing(_csv(tmp_path, "path,label\np/ant/0,1.png,a\n"))


def test_the_column_of_labels_can_be_named(tmp_path: Path) -> None:
    spec = _csv(tmp_path, "path,label,super\np/ant/0.png,0,1.0\np/ant/1.png,1,11.0\n")
    assert open_listing(spec).labels.tolist() == [0, 1]
    assert open_listing(spec, label_column="super").labels.tolist() == [1, 11]
    with pytest.raises(RequestError, match="columns are path, label, super"):
        open_listing(spec, label_column="none")


def test_other_columns_of_labels_are_named(tmp_path: Path) -> None:
    spec = _csv(tmp_path, "path,label,fine_label\np/ant/0.png,0,7\n")
    (note,) = open_listing(spec).notes
    assert "'label'; there is also fine_label: choose with --label-column" in note
    assert open_listing(spec, label_column="fine_label").notes == ()


@pytest.mark.parametrize(("sign", "named"), [(";", "';'"), ("\t", "tabs"), ("|", "'|'")])
def test_another_separator_is_named(tmp_path: Path, sign: str, named: str) -> None:
    with pytest.raises(RequestError, match="line 1: columns are path") as caught:
        open_listing(_csv(tmp_path, f"path{sign}label\np/ant/0.png{sign}0\n"))
    assert caught.value.hint == f"separate columns by commas, not by {named}"


def test_a_missing_label_is_named_by_its_line(tmp_path: Path) -> None:
    """The rows are sorted by ID after reading."""
    spec = _csv(tmp_path, "path,label\np/ant/1.png,1\np/ant/2.png,0\np/ant/0.png,NA\n")
    with pytest.raises(RequestError, match="1 of 3 samples have no label, the first in line 4"):
        open_listing(spec)


@pytest.mark.parametrize("column", ["path", "label", "id", "person"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, column: str) -> None:
    spec = _csv(tmp_path, f"path,label,id,person,,,{column}\np/ant/0.png,0,a,7,,,p/ant/1.png\n")
    with pytest.raises(RequestError, match=f"line 1: column '{column}' occurs twice"):
        open_listing(spec)


def test_columns_without_a_name_may_be_several(tmp_path: Path) -> None:
    spec = _csv(tmp_path, ",path,label,\n0,p/ant/0.png,3,\n")
    assert open_listing(spec).labels.tolist() == [3]
