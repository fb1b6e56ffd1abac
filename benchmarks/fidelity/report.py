"""What was found, in words and tables for people: Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fidelity.baseline import Baseline
from fidelity.plan import AGAIN, AREA, CONTROLS, KINDS, RATIOS, SEEDS
from fidelity.results import Group, Share, accuracy, latent_against_waveform
from xplain_evaluation.benchmark.journal import Record

Pair = tuple[str, str]
"""Classifier and data set."""
QUESTIONS = tuple(
    (kind, where, who)
    for kind in KINDS
    for where, who in (
        *(("latents", "model"), ("reencoded", "model"), ("reencoded", "judge")),
        *(("latents", control) for control in CONTROLS.values()),
    )
)
"""What is done, where it is decided, and by whom; or in whose place, by the model."""
PER_CENT = [f"{ratio:.0%}" for ratio in RATIOS]


def summary(
    rows: Sequence[Share],
    grouped: Mapping[Group, Sequence[Record]],
    baselines: Mapping[Pair, Baseline],
    seed: int,
    note: str,
) -> str:
    """Everything that is quoted, as tables; baselines: of some classifiers and data sets."""
    parts = [
        "# Explanations in a codec's latents, measured",
        "",
        note,
        "",
        "Shares of test clips whose decision is the explained model's own about the clip, with",
        "Wilson's 95 % intervals. Re-encoded: decoded and encoded again. Judge: a classifier",
        "trained independently (another seed, another head).",
        "",
    ]
    for pair in dict.fromkeys((r.classifier, r.data) for r in rows):
        parts += _of_one(*pair, rows, grouped, baselines.get(pair))
    parts += _trainings(rows)
    parts += _areas(grouped, seed)
    return "\n".join(parts) + "\n"


def _of_one(
    classifier: str,
    data: str,
    rows: Sequence[Share],
    grouped: Mapping[Group, Sequence[Record]],
    baseline: Baseline | None,
) -> list[str]:
    """One classifier on one data set: its controls, then a row for each method and question."""
    own = [r for r in rows if (r.classifier, r.data) == (classifier, data)]
    any_method = own[0].method
    control = {
        r.who: r
        for r in own
        if (r.kind, r.where, r.space, r.method) == ("unchanged", "reencoded", "latent", any_method)
    }
    records = grouped[classifier, data, "latent", any_method]
    compared = (
        []
        if baseline is None
        else [
            f"On all {baseline.clips} test clips {baseline.name} on the mean and deviation of each "
            f"channel reach {baseline.accuracy:.3f} (chosen by cross-validation over training "
            f"speakers, {baseline.validated:.3f}).",
            "",
        ]
    )
    lines = [
        f"## {data}, {classifier}",
        "",
        f"{len(records)} clips, accuracy {accuracy(records):.3f}; the codec's round trip keeps "
        f"{_cell(control['model'])} of the decisions (judge {_cell(control['judge'])}).",
        "",
        *compared,
        f"| space | method | | {' | '.join(PER_CENT)} |",
        f"|---|---|---|{'---|' * len(RATIOS)}",
    ]
    for space, method in dict.fromkeys((r.space, r.method) for r in own):
        for kind, where, who in QUESTIONS:
            if who == "judge" and method not in AGAIN:
                continue  # in the CSV
            asked = (space, method, kind, where, who)
            line = [r for r in own if (r.space, r.method, r.kind, r.where, r.who) == asked]
            if line:
                cells = " | ".join(_cell(r) for r in line)
                lines.append(f"| {space} | {method} | {_what(kind, where, who)} | {cells} |")
    return [*lines, ""]


def _trainings(rows: Sequence[Share]) -> list[str]:
    """The mean over several trainings of a classifier."""
    lines: list[str] = []
    for pair, count in SEEDS.items():
        data, codec = pair.split("/")
        names = {f"{codec}-{seed}" for seed in range(count)}
        own = [r for r in rows if r.data == data and r.classifier in names and r.space == "latent"]
        if {r.classifier for r in own} != names:
            continue
        lines += [
            f"## {data}, {codec}: mean of {count} trainings",
            "",
            f"| method | | {' | '.join(PER_CENT)} |",
            f"|---|---|{'---|' * len(RATIOS)}",
        ]
        for method in AGAIN:
            for kind, where, who in QUESTIONS:
                means = []
                for ratio in RATIOS:
                    asked = (method, kind, where, who, ratio)
                    found = [
                        r.mean
                        for r in own
                        if (r.method, r.kind, r.where, r.who, r.ratio) == asked
                        and r.mean is not None
                    ]
                    means.append(f"{sum(found) / len(found):.3f}")
                lines.append(f"| {method} | {_what(kind, where, who)} | {' | '.join(means)} |")
        trips = [
            r.mean
            for r in own
            if (r.kind, r.where, r.who, r.method) == ("unchanged", "reencoded", "model", AGAIN[0])
            and r.mean is not None
        ]
        lines += ["", f"The codec's round trip: {sum(trips) / len(trips):.3f}.", ""]
    return lines


def _what(kind: str, where: str, who: str) -> str:
    if who in CONTROLS.values():
        return f"{kind}, {where}, as much energy: {who.replace('-', ' ')}"
    return f"{kind}, {where}" + (", judge" if who == "judge" else "")


def _areas(grouped: Mapping[Group, Sequence[Record]], seed: int) -> list[str]:
    """Latent space against waveform space."""
    low, high = (f"{ratio:.0%}" for ratio in AREA)
    lines = [
        "## Latent space against waveform space",
        "",
        f"Area under the keep curve from {low} to {high}, re-encoded, same method and classifier;",
        "the difference is paired by clip, with its 95 % interval (Bonett, Price).",
        "",
        "| data | classifier | method | clips | latent | waveform | difference | wins |",
        "|---|---|---|---|---|---|---|---|",
    ]
    compared = latent_against_waveform(grouped, seed)
    for (classifier, data, method), (latent, waveform, found) in compared.items():
        if found.mean is None or found.low is None or found.high is None:
            continue  # one clip has no interval
        wins = "latent" if found.low > 0 else "waveform" if found.high < 0 else "neither"
        lines.append(
            f"| {data} | {classifier} | {method} | {found.clips} | {latent:.3f} | {waveform:.3f} | "
            f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}] | {wins} |"
        )
    return lines


def _cell(share: Share) -> str:
    if share.low is None or share.high is None:
        return f"{share.mean:.2f}"
    return f"{share.mean:.3f} [{share.low:.2f}, {share.high:.2f}]"
