"""Samples that splits share, and copies of listed images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import platformdirs
import pytest

from falw_cli.config.settings import Config
from falw_cli.data.copies import find_copies, find_earlier_copies
from falw_cli.data.images import Geometry, Images, load
from falw_cli.data.loading import open_unseen
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from falw_cli.runtime.progress import Silent
from tests.data.pictures import make_folder

WANTED = Geometry(12, 12, 3)


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders `seen` and `unseen`, which share an image under two names; `seen` holds a copy."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_folder(tmp_path / "seen", {"a": 4, "b": 4})
    make_folder(tmp_path / "unseen", {"a": 40, "b": 4}, seed=5000)
    image = (tmp_path / "seen" / "a" / "1.png").read_bytes()
    (tmp_path / "seen" / "b" / "copy.png").write_bytes(image)
    (tmp_path / "unseen" / "a" / "7.png").write_bytes(image)
    return tmp_path


def loaded(folder: Path, secret: int) -> Images:
    listing = open_listing(f"imagefolder:{folder / 'seen'}")
    return load(listing, Config(), WANTED, Silent(), secret=np.array([secret]))


def test_a_copy_is_refused_or_joins_the_list(seen: Path) -> None:
    """Its pixels leave the cache, which holds no image of the list."""
    data = loaded(seen, 1)
    pixels = data.pixels[1].tobytes()
    with pytest.raises(RequestError, match=r"1 sample has the same pixels.*'b/copy\.png'"):
        find_copies(data, np.array([1]), Config(), Silent())
    progress = Silent()
    found = find_copies(data, np.array([1]), Config(with_copies=True), progress)
    assert [data.listing.ids[row] for row in found] == ["b/copy.png"]
    assert progress.warnings == ["1 exact copy of listed samples put on the list"]
    files = list(platformdirs.user_cache_path("falw").rglob("pixels.npy"))
    assert len(files) == 1
    assert pixels not in files[0].read_bytes()


def test_a_copy_of_an_earlier_sample_is_refused_or_left_out(seen: Path) -> None:
    data, nobody = loaded(seen, 1), np.array([], np.int64)
    with pytest.raises(RequestError, match=r"samples of earlier requests.*'b/copy\.png'"):
        find_earlier_copies(data, np.array([1]), Config(), Silent(), nobody)
    progress = Silent()
    found = find_earlier_copies(data, np.array([1]), Config(with_copies=True), progress, nobody)
    assert [data.listing.ids[row] for row in found] == ["b/copy.png"]
    assert "left out of the retain samples" in progress.warnings[0]
    assert not len(find_earlier_copies(data, np.array([1]), Config(), progress, found))


def test_shared_samples_are_refused_or_left_out(seen: Path) -> None:
    data, heldout = loaded(seen, 0), f"imagefolder:{seen / 'unseen'}"
    with pytest.raises(RequestError, match="1 sample of the held-out data") as caught:
        open_unseen(Config(heldout=heldout), data, WANTED, Silent())
    assert "--drop-shared" in caught.value.hint
    progress = Silent()
    unseen = open_unseen(Config(heldout=heldout, drop_shared=True), data, WANTED, progress)
    assert unseen.heldout is not None
    used = {unseen.heldout.listing.ids[row] for row in [*unseen.guides, *unseen.judges]}
    assert used == set(unseen.heldout.listing.ids) - {"a/7.png"}
    assert "1 sample of the held-out data was left out" in progress.warnings[0]
    both = Config(heldout=heldout, test=heldout, drop_shared=True)
    with pytest.raises(RequestError, match="all samples of the test data"):
        open_unseen(both, data, WANTED, Silent())


def test_a_test_set_of_which_nothing_remains_is_refused(seen: Path) -> None:
    """One of its two images is in the training data, the other in the held-out data."""
    data, heldout = loaded(seen, 0), f"imagefolder:{seen / 'unseen'}"
    for source, name in (("seen", "2.png"), ("unseen", "0.png")):
        place = seen / "test" / "a" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((seen / source / "a" / name).read_bytes())
    both = Config(heldout=heldout, test=f"imagefolder:{seen / 'test'}", drop_shared=True)
    with pytest.raises(RequestError, match="are in the training or the held-out data"):
        open_unseen(both, data, WANTED, Silent())


def test_halves_never_share_a_group(seen: Path) -> None:
    """Each person's images lie in one half; without a person, an image is its own group."""
    data, root = loaded(seen, 0), seen / "unseen"
    (root / "a" / "7.png").unlink()
    ids = open_listing(f"imagefolder:{root}").ids
    people = {name: number // 3 for number, name in enumerate(ids)}
    lines = [f"{name},{person if person else ''}" for name, person in people.items()]
    (seen / "people.csv").write_text("\n".join(["id,person", *lines]))
    (seen / "trained.csv").write_text("id,person\na/0.png,1\na/1.png,99\n")
    config = Config(
        heldout=f"imagefolder:{root}", group="person",
        heldout_metadata=str(seen / "people.csv"), metadata=str(seen / "trained.csv"),
    )  # fmt: skip
    progress = Silent()
    unseen = open_unseen(config, data, WANTED, progress)
    guides, judges = ({people[ids[row]] for row in half} for half in (unseen.guides, unseen.judges))
    assert guides & judges <= {0}
    assert len(guides) > 3
    assert len(judges) > 3
    assert sorted([*unseen.guides, *unseen.judges]) == list(range(len(ids)))
    assert any("1 value of 'person' occurs in both" in one for one in progress.warnings)
    with pytest.raises(RequestError, match="unknown column 'persona'"):
        open_unseen(config.model_copy(update={"group": "persona"}), data, WANTED, Silent())
