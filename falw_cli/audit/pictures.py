"""The pictures of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from falw_cli.audit.drawing import COLOURS, FORGET, INK, STYLES, UNSEEN, Picture, canvas, short, svg
from falw_cli.audit.report import Relearned, Report
from falw_cli.audit.rows import GROUPS
from falw_cli.evaluation.gap_metric import load_metric
from falw_cli.evaluation.metrics import GroupApart, Metrics, Pairs
from falw_cli.runtime.printable import counted, decimal

MOST_CLASSES = 24
"""Maximum number of classes in a picture; of more, only the first and last ones are shown."""
FEW_SAMPLES, MANY_SAMPLES = 60, 300
"""Up to FEW_SAMPLES, the paired plot joins both marks of a sample. Above MANY_SAMPLES, its marks
are pixels, because thousands of vector marks would make the page large and slow."""


def pictures(report: Report, shown: dict[str, Metrics]) -> dict[str, list[Picture]]:
    """Return all pictures of a report, by section of the page."""
    run = report.run
    spreads = {f"spread {name}": list(_spreads(shown, name)) for name in shown if name != "Retrain"}
    found: dict[str, list[Picture]] = {
        "pairs": [_pairs(report.pairs, report.forget.count)] if report.pairs else [],
        "spread": [picture for several in spreads.values() for picture in several],
        **spreads,
        "classes": [_classes(shown)] if report.forget.count and shown else [],
        "roc": [roc(attacked)] if (attacked := {n: m for n, m in shown.items() if m.mia}) else [],
        "run": [],
        "relearned": [],
    }
    if run and len(run.course) > 1:
        found["run"].append(_loss(report))
        if any((one.min, one.max) != (1, 1) for one in report.weights):
            found["run"].append(_weights(report))
    if run and len(run.curve) > 1:
        found["run"].append(_stopping(report))
    if report.comeback and report.comeback.relearned:
        found["relearned"].append(_relearning(report.comeback.relearned))
    return found


def _pairs(found: Pairs, listed: int) -> Picture:
    """Draw the found true-class probability of each forget sample against the expected one."""
    count = len(found.expected)
    look = {
        "linestyle": "none", "alpha": min(0.9, max(0.2, 9 / count**0.5)), "markeredgewidth": 1.2,
        "markersize": 6 if count <= FEW_SAMPLES else 4, "rasterized": count > MANY_SAMPLES,
    }  # fmt: skip
    with canvas((4.0, 3.4)) as (axes, out):
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":", label="as expected")
        if count <= FEW_SAMPLES:
            axes.vlines(
                found.expected, found.before, found.after, color=INK, alpha=0.25, linewidth=0.8
            )
        before, after = COLOURS["before"], COLOURS["after"]
        axes.plot(
            found.expected, found.before, marker="o", color=before, fillstyle="none",
            label="before", **look,
        )  # fmt: skip
        axes.plot(
            found.expected, found.after, marker="^", color=after, markeredgecolor="none",
            label="after", **look,
        )  # fmt: skip
        axes.set(
            xlabel="expected true-class probability", ylabel="found true-class probability",
            xlim=(-0.03, 1.03), ylim=(-0.03, 1.03),
        )  # fmt: skip
        legend = axes.figure.legend(loc="outside upper center", ncols=3)
        for mark in legend.get_lines():
            mark.set(alpha=1, markersize=6)
    expected, before_mean, after_mean = (
        sum(one) / count for one in (found.expected, found.before, found.after)
    )
    part = f"{count:,} of the {listed:,}" if count < listed else f"{count:,}"
    words = (
        f"Mean true-class probability of {part} forget sample{'s' if count > 1 else ''}: "
        f"{expected:.3f} expected, {before_mean:.3f} before, {after_mean:.3f} after."
    )
    return Picture("Expected and found", svg(out, "pairs"), words)


def _spreads(shown: dict[str, Metrics], model: str) -> Iterator[Picture]:
    """Yield histograms of the confidence in forget and unseen samples, one picture per group."""
    distance = shown[model].distance
    if distance is None:
        return
    for name in GROUPS:
        group: GroupApart | None = getattr(distance.groups, name)
        if group is None:
            continue
        with canvas() as (axes, out):
            bins = len(group.forget_histogram)
            edges = [i / bins for i in range(bins + 1)]
            for values, colour, label, style in (
                (group.forget_histogram, FORGET, "forget", "-"),
                (group.unseen_histogram, UNSEEN, "unseen", "--"),
            ):
                percent = [max(100 * value, 0.01) for value in values]  # log axis
                axes.stairs(percent, edges, fill=True, color=colour, alpha=0.18)
                axes.stairs(
                    percent, edges, color=colour, linewidth=1.6, linestyle=style, label=label
                )
            axes.set(
                xlabel="true-class probability", ylabel="samples, %", xlim=(0, 1), yscale="log",
                ylim=(0.1, 110), yticks=[0.1, 1, 10, 100], yticklabels=["0.1", "1", "10", "100"],
            )  # fmt: skip
            axes.legend(loc="upper left")
        yield Picture(
            f"{name}, {model}",
            svg(out, f"spread-{model}-{name}"),
            f"True-class probability of forget and unseen samples of the {name} classes, {model}: "
            f"distance {group.value:.3f}, by chance {group.chance:.3f}, p = {group.p_value:.3f}.",
        )


def _classes(shown: dict[str, Metrics]) -> Picture:
    """Draw forget accuracy minus Retrain's, or minus unseen data's, per class, head to tail."""
    last = shown.get("after") or shown["model"]
    order = sorted(
        (name for name, one in last.per_class.items() if one.forget_count),
        key=lambda name: -last.per_class[name].forget_count,
    )
    if len(order) > MOST_CLASSES:
        order = order[: MOST_CLASSES // 2] + order[-MOST_CLASSES // 2 :]
    truth = shown.get("Retrain")
    what = "Retrain's" if truth else "that of unseen data"
    label = load_metric("forget_accuracy").label
    with canvas((6.2 if len(order) <= 10 else 8.2, 3.1)) as (axes, out):
        axes.axhline(0, color=INK, linewidth=0.8, alpha=0.6)
        drawn = [name for name in ("before", "after", "model") if name in shown]
        for number, model in enumerate(drawn):
            shift = (number - (len(drawn) - 1) / 2) * 0.22
            places, middles, ends = [], [], []
            for place, name in enumerate(order):
                one = shown[model].per_class[name]
                ground = (truth or shown[model]).per_class[name]
                base = ground.forget_accuracy if truth else ground.test_accuracy
                interval = one.intervals.get("forget_accuracy")
                if one.forget_accuracy is None or base is None or interval is None:
                    continue
                places.append(place + shift)
                middles.append(one.forget_accuracy - base)
                ends.append(
                    (
                        max(0.0, one.forget_accuracy - interval.lower),
                        max(0.0, interval.upper - one.forget_accuracy),
                    )
                )
            axes.errorbar(
                places, middles, yerr=list(zip(*ends, strict=True)) if ends else None, fmt="o",
                color=COLOURS[model], label=model, markersize=4, linewidth=1.3,
            )  # fmt: skip
        labels = [f"{short(name)}\n{last.per_class[name].forget_count}" for name in order]
        axes.set_xticks(range(len(order)), labels, rotation=0 if len(order) <= 10 else 60)
        axes.set(ylabel=f"{label} minus\n{what}, points")
        axes.legend(loc="best")
    tail = last.groups.tail if last.groups else None
    deviation = (tail.deviation if truth else tail.unseen_deviation) if tail else None
    words = f"{label.capitalize()} minus {what}, for each class and its number of forget samples."
    if deviation is not None:
        words += f" Tail classes together: {decimal(deviation, 2, '+')} points."
    return Picture("Deviation of each class, from head to tail", svg(out, "classes"), words)


def roc(shown: dict[str, Metrics], colours: Sequence[str] = ()) -> Picture:
    """Draw the ROC curve of the class-matched attack on log axes, one line per model."""
    with canvas((4.0, 3.3)) as (axes, out):
        for number, (name, metrics) in enumerate(shown.items()):
            if metrics.mia is None:
                continue
            colour = colours[number % len(colours)] if colours else COLOURS[name]
            points = [(x, y) for x, y in metrics.mia.curve if x > 0]
            axes.plot(
                [x for x, _ in points], [max(y, 1e-4) for _, y in points], color=colour,
                label=short(name) if colours else name, drawstyle="steps-post",
                linestyle=STYLES[number % len(STYLES)],
            )  # fmt: skip
        axes.plot([1e-4, 1], [1e-4, 1], color=INK, linewidth=0.8, linestyle=":", label="chance")
        axes.set(
            xscale="log", yscale="log", xlim=(1e-3, 1), ylim=(1e-3, 1.05),
            xlabel="false-positive rate", ylabel="true-positive rate",
        )  # fmt: skip
        axes.legend(loc="lower right")
    aucs = ", ".join(f"{n} AUC {m.mia.auc.value:.3f}" for n, m in shown.items() if m.mia)
    return Picture(
        "Can forget samples be distinguished from unseen samples?", svg(out, "roc"),
        f"ROC curve of the class-matched membership attack by loss, log axes: {aucs}.",
    )  # fmt: skip


def _loss(report: Report) -> Picture:
    assert report.run is not None
    losses = [epoch.loss for epoch in report.run.course]
    with canvas() as (axes, out):
        axes.plot(range(1, len(losses) + 1), losses, color=FORGET, marker="o", markersize=3)
        axes.set(xlabel="epoch", ylabel="loss")
    words = f"Mean loss of each epoch: {losses[0]:.3f} in the first, {losses[-1]:.3f} in the last."
    return Picture("Loss", svg(out, "loss"), words)


def _weights(report: Report) -> Picture:
    """Draw the weights, and the target that determines them, if there is one."""
    assert report.run is not None
    course, weights = report.run.course, report.weights
    epochs = range(1, len(weights) + 1)
    targeted = [(e, one.mu) for e, one in enumerate(course, 1) if one.mu is not None]
    with canvas() as (axes, out):
        low, high = [one.min for one in weights], [one.max for one in weights]
        axes.fill_between(epochs, low, high, color=FORGET, alpha=0.15, linewidth=0)
        axes.plot(epochs, [one.mean for one in weights], color=FORGET, label="weight, mean")
        if targeted:
            axes.plot(*zip(*targeted, strict=True), color=UNSEEN, label="target mu, mean")
        axes.set(xlabel="epoch", ylim=(0, None))
        axes.legend(loc="best")
    words = f"Weights of the forget samples, from {min(low):.2f} to {max(high):.2f}."
    if targeted:
        words += f" Target mu {targeted[0][1]:.3f} at first, {targeted[-1][1]:.3f} at the end."
    return Picture("Weights and target", svg(out, "weights"), words)


def _stopping(report: Report) -> Picture:
    assert report.run is not None
    curve = report.run.curve
    with canvas() as (axes, out):
        steps = [moment.step for moment in curve]
        axes.plot(steps, [m.estimated_gap for m in curve], color=FORGET, label="estimated gap")
        known = [(m.step, m.gap) for m in curve if m.gap is not None]
        if known:
            axes.plot(*zip(*known, strict=True), color=UNSEEN, label="gap to Retrain")
        axes.set(xlabel="step", ylabel="points", ylim=(0, None))
        axes.legend(loc="best")
    least = min(curve, key=lambda moment: moment.estimated_gap)
    words = (
        f"Estimated gap over {curve[-1].step} steps: smallest, {least.estimated_gap:.2f}, at step "
        f"{least.step}."
    )
    return Picture("Early stopping", svg(out, "stopping"), words)


def _relearning(found: Relearned) -> Picture:
    """Draw the effect of relearning a few forget samples on the other forget samples."""
    lines = [
        ("other forget", FORGET, [(step, own) for step, own, _ in found.curve]),
        ("unseen", UNSEEN, [(step, unseen) for step, _, unseen in found.curve]),
        (
            "other forget, Retrain",
            COLOURS["before"],
            [(step, own) for step, own, _ in found.reference_curve],
        ),
    ]
    with canvas() as (axes, out):
        for label, colour, points in lines:
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, label=label)
        axes.axhline(found.goal, color=INK, linewidth=0.8, linestyle=":")
        axes.set(xlabel="steps", ylabel="accuracy, %")
        axes.legend(loc="best")
    others = [_steps(number) for number in found.reference_returned_after]
    words = (
        f"Forget samples that are relearned: {found.samples}; accuracy on the others reaches "
        f"{found.goal:.1f} % {_steps(found.returned_after)}"
        + (f"; in Retrain models {', '.join(others)}." if others else ".")
        + f" Their largest gain over that of unseen samples is {found.excess:.1f} points"
        + (
            f"; in Retrain models {', '.join(f'{n:.1f}' for n in found.reference_excess)}."
            if others
            else "."
        )
    )
    return Picture("Relearning", svg(out, "relearned"), words)


def _steps(number: int | None) -> str:
    return "not in 50 steps" if number is None else f"after {counted(number, 'step')}"
