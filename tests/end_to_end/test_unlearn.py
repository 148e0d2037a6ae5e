"""`falw unlearn`, with the installed command as a user runs it."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from falw_cli import unlearn
from falw_cli.audit.report import Report
from falw_cli.config.extensions import METHODS
from falw_cli.data import device
from falw_cli.runtime.progress import Silent
from falw_cli.unlearning.lr_search import FACTORS
from tests import at_once
from tests.conftest import clean_environment, falw, run_falw
from tests.data.pictures import make_folder

JOB = ("unlearn", "model.safetensors", "--forget", "ids.txt")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_falw_yaml_suffices(unlearned: Path) -> None:
    project = unlearned  # by `falw unlearn model.safetensors --forget ids.txt`
    report = Report.model_validate_json((project / "model.unlearned.audit.json").read_text())
    out = project / "model.unlearned.safetensors"
    assert report.output is not None
    assert report.run is not None
    assert report.output.sha256 == sha256(out)
    assert report.inputs.model.sha256 == sha256(project / "model.safetensors")
    assert report.inputs.forget_list is not None
    assert report.inputs.forget_list.sha256 == sha256(project / "ids.txt")
    assert report.forget.count == sum(report.forget.per_class.values()) == 240
    assert "estimated gap" in report.run.stopped_because
    before, *looks = report.run.curve
    assert before.step == 0
    assert min(look.estimated_gap for look in looks) < before.estimated_gap
    assert min(look.distance for look in looks) < before.distance
    assert all(one.gap is None for one in report.run.curve)
    assert all(w.min == w.max == 1 for w in report.weights)  # match x none
    # Test and held-out are disjoint halves of the second part of the digits.
    assert report.inputs.heldout is not None
    assert report.inputs.test is not None
    assert report.inputs.heldout.used + report.inputs.test.used == report.inputs.test.count == 599
    with safe_open(out, framework="pt") as archive:
        said = json.loads(archive.metadata()["falw"])
    assert said["arch"] == "tiny-cnn"
    assert said["parent"] == sha256(project / "model.safetensors")
    assert (said["unlearned"]["method"], said["unlearned"]["weighting"]) == ("match", "none")
    again = falw("evaluate", cwd=project)
    assert again.returncode == 0, again.stderr
    assert "test accuracy" in again.stdout


@pytest.mark.slow
def test_the_paper_preset_is_the_papers_algorithm(project: Path) -> None:
    """Random labels, FaLW weights, exact target, and a fixed number of epochs."""
    preset = ("--method", "falw-paper", "--epochs", "2", "--lr", "0.003")
    done = falw(*JOB, *preset, "--out", "preset.safetensors", cwd=project)
    assert done.returncode == 0, done.stderr
    report = Report.model_validate_json((project / "preset.audit.json").read_text())
    assert report.run is not None
    assert report.run.stopped_because == "the configured 2 epochs are complete"
    assert len(report.weights) == 2
    assert 0 <= report.weights[0].min < report.weights[0].max <= 2
    spelt = (
        "--method", "random-label", "--weighting", "falw", "--target", "exact", "--stop", "epochs",
        *preset[2:],
    )  # fmt: skip
    done = falw(*JOB, *spelt, "--out", "spelt.safetensors", cwd=project)
    assert done.returncode == 0, done.stderr
    one, other = (load_file(project / f"{name}.safetensors") for name in ("preset", "spelt"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_that_always_harms_utility_writes_nothing(project: Path) -> None:
    """The utility guard rejects every evaluation: exit 3, and two lines with a hint."""
    wild = ("--method", "gradient-ascent", "--lr", "50", "--max-utility-loss", "0.5", "-q")
    before = sorted(project.iterdir())
    done = falw(*JOB, *wild, cwd=project)
    assert done.returncode == 3
    assert "within 0.5 points" in done.stderr
    assert "--max-utility-loss" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert sorted(project.iterdir()) == before


@pytest.mark.slow
def test_lr_auto_probes_and_reports_the_rate(project: Path) -> None:
    search = ("--method", "random-label", "--lr", "auto", "--epochs", "4", "--no-forgotten-gate")
    done = falw(*JOB, *search, cwd=project)
    assert done.returncode == 0, done.stderr
    report = Report.model_validate_json((project / "model.unlearned.audit.json").read_text())
    assert report.run is not None
    assert len(report.run.probes) == len(FACTORS)
    assert report.run.lr in [probe.lr for probe in report.run.probes]


@pytest.mark.slow
def test_trace_records_the_gap_along_the_run_and_changes_nothing(project: Path) -> None:
    plain = (*JOB, "--reference", "retrain.safetensors", "--epochs", "4")
    config = (project / "falw.yaml").read_text()
    outputs = []
    for name, more in (("plain", ""), ("traced", "unlearn: {trace: true}\n")):
        (project / "falw.yaml").write_text(config + more)
        done = falw(*plain, "--out", f"{name}.safetensors", cwd=project)
        assert done.returncode == 0, done.stderr
        outputs.append(load_file(project / f"{name}.safetensors"))
    report = Report.model_validate_json((project / "traced.audit.json").read_text())
    assert report.run is not None
    assert report.metrics.after is not None
    gaps = [moment.gap for moment in report.run.curve[1:]]
    assert all(gap is not None for gap in gaps)
    assert report.metrics.after.avg_gap in [pytest.approx(gap) for gap in gaps]
    assert all(torch.equal(outputs[0][name], outputs[1][name]) for name in outputs[0])


def test_a_shell_pipeline(project: Path) -> None:
    drawn = falw("forget-list", "--ratio", "0.1", "--gamma", "2", cwd=project)
    quietly = ("--json", "-q", "--stop", "epochs")
    done = falw(*JOB[:3], "-", *quietly, cwd=project, stdin=drawn.stdout)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("warning: no forgotten share")  # digits are easy
    assert len(done.stderr.splitlines()) == 1
    assert json.loads(done.stdout)["forget"]["count"] == 120


def test_the_same_seed_gives_the_same_bits_whatever_the_order_of_the_list(project: Path) -> None:
    """The weights: the metadata has the digest of the list's file."""
    found, short = [], (*JOB, "--epochs", "4", "--no-forgotten-gate")
    for number, seed in enumerate(("3", "3", "4")):
        lines = (project / "ids.txt").read_text().splitlines()
        if number == 1:
            random.Random(0).shuffle(lines)
            (project / "ids.txt").write_text("\r\n".join(["# mixed", "", *lines]))
        done = falw(*short, "--out", f"{number}.safetensors", "--seed", seed, cwd=project)
        assert done.returncode == 0, done.stderr
        found.append(load_file(project / f"{number}.safetensors"))
    first, shuffled, other = ([one[name] for name in sorted(one)] for one in found)
    assert all(torch.equal(*pair) for pair in zip(first, shuffled, strict=True))
    assert not all(torch.equal(*pair) for pair in zip(first, other, strict=True))


def test_gates_references_and_exit_codes(project: Path) -> None:
    passes = ("--gate", "retain_accuracy>=1", "--gate", "run.steps<=100")
    done = falw(*JOB, *passes, "--reference", "retrain.safetensors", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "Avg. Gap" in done.stderr
    fails = ("--gate", "avg_gap<=0", "--gate", "metrics.noise_floor<=100")
    twice = ("--reference", "retrain.safetensors", "--report", "verdict.json")
    judged = falw("evaluate", "--forget", "ids.txt", *twice, *fails, "--json", cwd=project)
    assert judged.returncode == 1, judged.stderr
    report = Report.model_validate_json(judged.stdout)
    assert report == Report.model_validate_json((project / "verdict.json").read_text())
    # One reference has no noise floor, and a metric without a value fails its gate.
    assert [gate.passed for gate in report.gates] == [False, False]
    assert report.gates[1].value is None


def test_flag_over_environment_over_file(project: Path) -> None:
    settings = ("--dry-run", "--json", "-q")
    by_environment = falw(*JOB, *settings, cwd=project, FALW_EPOCHS="4", FALW_SEED="9")
    asked = json.loads(by_environment.stdout)["config"]
    assert (asked["unlearn"]["epochs"], asked["seed"]) == (4, 9)
    by_flag = falw(*JOB, *settings, "--epochs", "2", cwd=project, FALW_EPOCHS="4")
    assert json.loads(by_flag.stdout)["config"]["unlearn"]["epochs"] == 2
    assert not (project / "model.unlearned.safetensors").exists()


def test_a_variable_that_no_command_reads_is_reported(project: Path) -> None:
    done = falw("forget-list", "--data", "digits", "--count", "2", cwd=project, FALW_EPOCH="5")
    assert done.returncode == 0, done.stderr
    assert "variable FALW_EPOCH; did you mean FALW_EPOCHS?" in done.stderr


def test_a_run_that_diverges_writes_nothing(project: Path) -> None:
    before = sorted(project.iterdir())
    done = falw(*JOB, "--lr", "1e30", "-q", cwd=project)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("error: the loss is")
    assert len(done.stderr.splitlines()) == 2
    assert sorted(project.iterdir()) == before


@pytest.mark.slow
def test_an_interrupted_and_resumed_run_gives_the_same_checkpoint(project: Path) -> None:
    long = (*JOB, "--epochs", "60", "--seed", "5", "--out")
    whole = falw(*long, "whole.safetensors", cwd=project)
    assert whole.returncode == 0, whole.stderr
    running = subprocess.Popen(
        [str(at_once.command()), *long, "parts.safetensors", "-v"],
        cwd=project,
        env=clean_environment(),
        stderr=subprocess.PIPE,
    )
    state = project / "parts.safetensors.state"
    assert running.stderr is not None
    for line in running.stderr:  # printed when the step loop begins
        if b"match x none:" in line:
            break
    time.sleep(0.3)
    running.send_signal(signal.SIGTERM)
    told = running.stderr.read().decode()
    assert running.wait(60) == 143, told
    assert "--resume" in told
    assert state.exists()
    assert not (project / "parts.safetensors").exists()
    again = (*long, "parts.safetensors", "--resume", "--dry-run")  # refused as the run would be
    assert falw(*again, cwd=project).returncode == 0
    other = falw(*again, "--seed", "6", cwd=project)
    assert (other.returncode, "seed is 6, was 5" in other.stderr) == (2, True), other.stderr
    resumed = falw(*long, "parts.safetensors", "--resume", cwd=project)
    assert resumed.returncode == 0, resumed.stderr
    assert not state.exists()
    assert sha256(project / "parts.safetensors") == sha256(project / "whole.safetensors")


def test_a_foreign_checkpoint_on_an_image_folder(tmp_path: Path) -> None:
    """No metadata, a prefix, half precision: dtype and prefix are kept; the report names no ID."""
    make_folder(tmp_path / "train", {"cat": 30, "dog": 30, "owl": 30})
    make_folder(tmp_path / "unseen", {"cat": 12, "dog": 12, "owl": 12}, seed=5000)
    (tmp_path / "falw.yaml").write_text(
        "arch: tiny-cnn\ndata: imagefolder:train\nheldout: imagefolder:unseen\n"
        "preprocessing: {mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}\n"
        "train: {epochs: 20}\n"
    )
    trained = falw("train", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    found = load_file(tmp_path / "model.safetensors")
    theirs = {
        f"module.{name}": tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in found.items()
    }
    save_file(theirs, tmp_path / "model.safetensors")
    (tmp_path / "ids.txt").write_text("owl/7.png\ncat/3.png\ncat/4.png\nowl/7.png\n")
    done = falw(*JOB, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning: repeated IDs in the forget list, each used once: 1" in done.stderr
    written = load_file(tmp_path / "model.unlearned.safetensors")
    assert {k: (v.dtype, v.shape) for k, v in written.items()} == {
        k: (v.dtype, v.shape) for k, v in theirs.items()
    }
    text = (tmp_path / "model.unlearned.audit.json").read_text()
    assert "owl" in text
    assert ".png" not in text
    assert not any("3.png" in path.name for path in tmp_path.rglob("*.json"))


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.slow
def test_every_method_runs_and_keeps_utility(project: Path, method: str) -> None:
    """Use the preset and the default unchanged; short runs of the others with `--lr auto`."""
    own = () if method in ("match", "falw-paper") else ("--lr", "auto", "--epochs", "2")
    quietly = ("--json", "-q", "--no-forgotten-gate")
    done = falw(*JOB, "--method", method, *own, *quietly, cwd=project)
    if done.returncode == 3 and method not in ("match", "falw-paper"):
        assert "no learning rate brings the model closer" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["after"]["retain_accuracy"] > 80


def test_streamed_samples_give_the_same_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that does not fit on the device is read when needed; the result is the same."""
    monkeypatch.chdir(project)
    asked = {"forget": "ids.txt", "epochs": 2, "device": "cpu"}
    resident = unlearn("model.safetensors", **asked, out="resident.safetensors")
    monkeypatch.setattr(device, "FITS", 0.0)
    progress = Silent()
    streamed = unlearn("model.safetensors", **asked, out="streamed.safetensors", progress=progress)
    assert resident.output is not None
    assert streamed.output is not None
    assert streamed.output.sha256 == resident.output.sha256
    assert streamed.metrics.after == resident.metrics.after


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++ on a CPU")
def test_a_compiled_run_gives_the_same_result(project: Path) -> None:
    for name, flag in (("plain", "--no-compile"), ("compiled", "--compile")):
        out = ("--out", f"{name}.safetensors", "--epochs", "2", "--device", "cpu")
        done = falw(*JOB, *out, flag, cwd=project)
        assert done.returncode == 0, done.stderr
    plain, compiled = (load_file(project / f"{n}.safetensors") for n in ("plain", "compiled"))
    before = load_file(project / "model.safetensors")
    moved, apart = (
        torch.cat([(one[name] - two[name]).double().flatten() for name in plain]).norm()
        for one, two in ((plain, before), (compiled, plain))
    )
    assert apart < 0.05 * moved


@pytest.mark.slow
def test_a_network_that_cannot_be_compiled_ends_in_two_lines(project: Path) -> None:
    nothing = {"CXX": "/no/such/compiler", "TORCHINDUCTOR_CACHE_DIR": str(project / "cache")}
    # The compiler is looked up when torch is imported.
    done = run_falw(*JOB, "--compile", "--device", "cpu", cwd=project, **nothing)
    assert done.returncode == 3
    assert "cannot be compiled here" in done.stderr
    assert "leave out --compile" in done.stderr
    assert not (project / "model.unlearned.safetensors").exists()
