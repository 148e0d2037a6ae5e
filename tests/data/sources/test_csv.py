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
