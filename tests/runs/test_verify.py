"""Verify detects every change to the files that a report names."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic_core import to_json

from falw_cli import unlearn
from falw_cli.audit.report import Report
from falw_cli.audit.seal import digest, seal, text_of, to_text
from falw_cli.audit.verdict import verdict
from falw_cli.data import ledger
from falw_cli.data.opening import open_listing
from falw_cli.runs.verify import VerifyRequest, verify
from falw_cli.runtime.progress import Silent
from tests.conftest import falw

REPORT = "model.unlearned.audit.json"
CONFIG = "arch: tiny-cnn\ndata: npz:train.npz\nheldout: npz:heldout.npz\n"


@pytest.fixture(scope="module")
def run(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only folder with a run on the digits as files, and its report."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("model.safetensors", "retrain.safetensors", "ids.txt"):
        shutil.copy(trained / name, folder)
    for part, name in (("train", "train"), ("test", "heldout")):
        listing = open_listing("digits", part)
        np.savez(
            folder / f"{name}.npz", images=listing.array, labels=listing.labels, ids=listing.ids
        )
    (folder / "falw.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        unlearn(
            "model.safetensors", forget="ids.txt", reference="retrain.safetensors", epochs=2,
            device="cpu",
        )  # fmt: skip
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    monkeypatch.chdir(folder)
    return folder


def problems(**more: bool | str) -> dict[str, str]:
    """Return the problems that verify finds, by name."""
    asked = VerifyRequest(Path(REPORT), **more)  # type: ignore[arg-type]
    return {one.name: one.problem for one in verify(asked, Silent()).checks if one.problem}


def test_an_unchanged_run_has_no_problems(copy: Path) -> None:
    found = verify(VerifyRequest(Path(REPORT), rerun=True), Silent())
    checks = found.checks
    assert [check.name for check in checks] == [
        "report", "model", "reference retrain.safetensors", "output", "forget list", "data",
        "heldout", "test", "counts", "metrics", "not checked",
    ]  # fmt: skip
    assert not any(check.problem for check in checks)
    assert found.measured_again
    assert checks[-1].state.startswith("which gates were asked for; command, environment, run")
    sealed = Report.model_validate_json((copy / REPORT).read_text())
    assert found.report is not None
    assert verdict(found.report) == verdict(sealed)


@pytest.mark.parametrize(
    ("file", "check"),
    [
        ("model.safetensors", "model"),
        ("retrain.safetensors", "reference retrain.safetensors"),
        ("model.unlearned.safetensors", "output"),
        ("ids.txt", "forget list"),
        ("train.npz", "data"),
        ("heldout.npz", "heldout"),
        (REPORT, "report"),
    ],
)
@pytest.mark.parametrize("place", [0.3, 0.6, 0.97])
def test_a_changed_byte_is_detected(copy: Path, file: str, check: str, place: float) -> None:
    content = bytearray((copy / file).read_bytes())
    at = int(place * len(content))
    while file == REPORT and not chr(content[at]).isdigit():  # keeps the JSON valid
        at += 1
    content[at] = ord("1") if content[at] == ord("2") else ord("2")
    (copy / file).write_bytes(content)
    assert check in problems()


@pytest.mark.parametrize("state", ["kept", "moved", "shorter", "edited"])
def test_the_ledger_of_the_run_is_checked(copy: Path, state: str) -> None:
    entry = ledger.Run(["a"], "a" * 64, "b" * 64, "c" * 64, "u", "d" * 64, "u.json").entry()
    content = json.loads((copy / REPORT).read_text())
    content["config"]["ledger"], content["ledger_line"] = "ledger.jsonl", entry.of_run
    content["digest"] = digest(content)
    (copy / REPORT).write_text(text_of(content))
    line = ledger.next_line(b"", entry, "ledger")
    written = {"kept": line, "shorter": b"", "edited": line.replace(b"cccc", b"dddd", 1)}
    if state in written:
        (copy / "ledger.jsonl").write_bytes(written[state])
    found = problems(rerun=True)
    if state == "kept":
        assert "ledger" not in found
        return
    says = "ledger.jsonl does not " + ("exist" if state == "moved" else "hold the line of this run")
    assert says in found["ledger"]
    assert found["metrics"] == "not checked: the files above are not those of the run"
    assert "counts" not in found


def test_a_reformatted_report_is_detected(copy: Path) -> None:
    text = json.dumps(json.loads((copy / REPORT).read_text()), indent=4)
    (copy / REPORT).write_text(text)
    assert list(problems()) == ["report"]


def test_a_forged_digest_is_detected_by_measuring_again(copy: Path) -> None:
    report = Report.model_validate_json((copy / REPORT).read_text())
    assert report.metrics.after is not None
    report.metrics.after.forget_accuracy = 12.5
    (copy / REPORT).write_text(to_text(seal(report)))
    assert not problems()
    assert "the report says 12.5" in problems(rerun=True)["metrics"]


@pytest.mark.parametrize(
    ("path", "value", "check"),
    [
        ("gates.0.passed", True, "metrics"),
        ("gates.0.value", 99.0, "metrics"),
        ("gates", [], "metrics"),
        ("metrics.after.forget_accuracy", None, "metrics"),
        ("metrics.after.mia", None, "metrics"),
        ("metrics.after.per_class", {}, "metrics"),
        ("inputs.model.unlearned", True, "metadata"),
        ("inputs.model.unlearned", None, "metadata"),
        ("inputs.model.made_from", ["0" * 64], "counts"),
        ("inputs.data.count", 9, "counts"),
        ("inputs.data.used", 9, "counts"),
        ("forget.count", 9, "counts"),
        ("forget.per_class", {"0": 9}, "counts"),
        ("forget.unreadable", 1, "counts"),
        ("run.lr", 0.5, "metadata"),
        ("config.unlearn.epochs", 9, "metadata"),
        ("warnings", ["no forgotten share: all is well"], "warnings"),
        ("pairs", None, "metrics"),
        ("pairs.after.3", 0.5, "metrics"),
        ("config.relearn", True, "metrics"),  # a report without its section
        ("command", ["falw", "audit"], "metrics"),
    ],
)
def test_forged_entries_are_detected(copy: Path, path: str, value: object, check: str) -> None:
    content = json.loads((copy / REPORT).read_text())
    content["config"]["gate"] = ["test_accuracy<=1"]
    content["gates"] = [
        {
            "expression": "test_accuracy<=1", "value": content["metrics"]["after"]["test_accuracy"],
            "passed": False,
        }
    ]  # fmt: skip
    if content["metrics"]["after"]["forgotten_share"]:
        content["config"]["forgotten_gate"] = False
    for forged in (False, True):
        part, *rest = content, *path.split(".")
        for key in rest[:-1]:
            part = part[int(key) if key.isdigit() else key]
        if forged:
            part[int(rest[-1]) if rest[-1].isdigit() else rest[-1]] = value
        report = Report.model_validate(content)
        (copy / REPORT).write_text(to_text(seal(report)))
        assert list(problems(rerun=True)) == ([check] if forged else [])


def test_a_report_of_an_older_version_without_a_new_key_is_unchanged(copy: Path) -> None:
    content = json.loads((copy / REPORT).read_text())
    for metrics in (content["metrics"], content["metrics"]["after"]):
        metrics.pop("changes", None)
        metrics.pop("forgotten_share", None)
    del content["robustness"]
    content["tool"]["version"] = "0.1.0"
    # Older versions sealed the compact JSON of the keys that they knew.
    content["digest"] = hashlib.sha256(to_json(content | {"digest": None})).hexdigest()
    (copy / REPORT).write_text(to_json(content, indent=2).decode() + "\n")
    *_, said = verify(VerifyRequest(Path(REPORT), rerun=True), Silent()).checks
    assert "this report of falw 0.1.0 lacks: after.forgotten_share; changes" in said.state
    assert not problems(rerun=True)
    content["metrics"]["after"]["forget_accuracy"] = 12.5
    (copy / REPORT).write_text(to_json(content, indent=2).decode() + "\n")
    assert problems()["report"] == "was changed after it was written"


@pytest.mark.parametrize(
    ("section", "key", "check"),
    [
        ("metrics", "changes", "metrics"),
        ("metrics.after", "mia", "metrics"),
        ("inputs.model", "unlearned", "metadata"),
        ("forget", "copies", "counts"),
    ],
)
def test_a_removed_key_is_detected(copy: Path, section: str, key: str, check: str) -> None:
    content = part = json.loads((copy / REPORT).read_text())
    for name in section.split("."):
        part = part[name]
    del part[key]
    content["digest"] = digest(content)
    (copy / REPORT).write_text(text_of(content))
    assert list(problems(rerun=True)) == [check]


def test_a_changed_report_has_no_verdict(copy: Path) -> None:
    text = (copy / REPORT).read_text()
    share = json.loads(text)["metrics"]["after"]["forget_accuracy"]
    (copy / REPORT).write_text(text.replace(f'"forget_accuracy": {share}', '"forget_accuracy": 1'))
    found = verify(VerifyRequest(Path(REPORT)), Silent())
    assert found.checks[0].problem == "was changed after it was written"
    assert found.report is None


def test_another_list_and_a_missing_file_are_named(copy: Path) -> None:
    (copy / "other.txt").write_text("1\n2\n")
    assert "is not the list of the run" in problems(forget="other.txt")["forget list"]
    (copy / "model.unlearned.safetensors").unlink()
    found = problems(rerun=True)
    assert "does not exist" in found["output"]
    assert "not checked" in found["data"]
    assert "not checked" in found["metrics"]


def test_a_run_of_several_devices_is_verified_by_one_process(copy: Path) -> None:
    report = Report.model_validate_json((copy / REPORT).read_text())
    report.config |= {"devices": 4, "nodes": 2}
    (copy / REPORT).write_text(to_text(seal(report)))
    assert not problems(rerun=True)


def test_code_that_a_report_names_is_not_imported(copy: Path) -> None:
    report = Report.model_validate_json((copy / REPORT).read_text())
    report.config["arch"] = "os:getcwd"
    (copy / REPORT).write_text(to_text(seal(report)))
    assert "asks to import code" in problems()["data"]


def test_the_command_reports_problems_and_sets_the_exit_code(copy: Path) -> None:
    done = falw("verify", REPORT, "--forget", "ids.txt", cwd=copy)
    assert done.returncode == 0, done.stderr
    assert "output" in done.stdout
    sealed = Report.model_validate_json((copy / REPORT).read_text())
    assert f"verdict of the report's figures: {verdict(sealed).headline}" in done.stderr
    *_, said = json.loads(falw("verify", REPORT, "--json", cwd=copy).stdout)
    assert (said["name"], said["problem"]) == ("verdict", None)
    assert (said["state"], said["level"]) == (verdict(sealed).headline, verdict(sealed).level)
    (copy / "model.safetensors").write_bytes(b"another")
    done = falw("verify", REPORT, "--json", cwd=copy)
    assert done.returncode == 1
    found = {one["name"]: one["problem"] for one in json.loads(done.stdout)}
    assert found["model"] == "model.safetensors is not the file of the run"


def test_a_given_list_that_does_not_exist_is_a_wrong_request(copy: Path) -> None:
    done = falw("verify", REPORT, "--forget", "id.txt", cwd=copy)
    assert done.returncode == 2
    assert "did you mean 'ids.txt'?" in done.stderr


def test_the_schema_is_that_of_the_reports(copy: Path) -> None:
    done = falw("schema", cwd=copy)
    assert done.returncode == 0
    assert json.loads(done.stdout) == Report.model_json_schema()
