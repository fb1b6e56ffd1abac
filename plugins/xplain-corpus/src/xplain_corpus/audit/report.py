"""An audit as Markdown and as one page, with examples to listen to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import torch

from xplain import audio
from xplain.intervals import Interval
from xplain.report.html import encoded, render
from xplain.storage import whole_folder, write_text
from xplain_corpus.audit.audit import ASSOCIATED, LEVEL, PROOF, STRONG, TRIED, Audit, Finding

REPORT, PAGE = "audit.md", "index.html"
OURS = rf"{re.escape(REPORT)}|{re.escape(PAGE)}|example-\d+-\d+-(original|planted)\.wav"
MOST = 1.5
"""Times its share of energy from which a region is named."""

STYLE = """
.examples { display: grid; gap: .25rem 1rem; }
.examples { grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); }
"""

METHOD = (
    "A cue is tried where clips that the model calls by a label have more of it than others with a "
    f"chance of at least {ASSOCIATED:.0%} (Mann-Whitney, all tests together {LEVEL:.0%}). It is "
    f"proved where the label's probability rises with the cue planted in up to {TRIED} clips of "
    f"other labels and falls with it removed from up to {TRIED} of the label's, the 95 % intervals "
    f"both beyond {PROOF:g}, and one beyond {STRONG:g}. Evidence is the "
    "attribution above zero. An audit finds cues of these kinds in this corpus; that it names none "
    "does not show that there is none."
)


def scope(audit: Audit) -> list[str]:
    """What was looked at and what was not, and how to do it again: for whoever signs."""
    failed, tests = len(audit.corpus.failures), len(audit.cues) * len(audit.labels)
    origin, question = audit.corpus.header.origin, audit.corpus.header.question
    told = [
        f"Sample: {audit.clips} of {audit.decided} clips with a decision, drawn evenly over labels "
        f"by the seed {audit.seed}; {failed} clips of the run failed and are not in it.",
        f"Labels compared: {', '.join(audit.labels)}."
        + (f" Too few clips for: {', '.join(audit.few)}." if audit.few else ""),
        f"Cues looked for: {', '.join(audit.cues)}. Nothing else was: no words, voices, rooms, "
        "music, nor cues that two labels share.",
        f"Tests: {tests} associations ({len(audit.cues)} cues, {len(audit.labels)} labels), each "
        f"at {LEVEL / max(tests, 1):.2g}, so that one by chance among all has {LEVEL:.0%} "
        "(Bonferroni). The intervals of proofs are 95 % each and are not corrected; a proof asks "
        "for two of them.",
        "Planting and removing change a recording in other ways, too; listen to the examples.",
        f"To do it again: xplain corpus audit {audit.corpus.place} --clips {audit.clips} --seed "
        f"{audit.seed}, with xplain {origin['xplain']}, torch {origin['torch']}, and the model "
        f"{question.model}.",
    ]
    if audit.unread:
        told.append(f"Not readable any more: {', '.join(sorted(audit.unread)[:20])}.")
    return told


def write(audit: Audit, folder: Path) -> Path:
    """Write the report, the page and the examples into a folder; returns the page's name."""
    with whole_folder(folder, ours=OURS, record=REPORT) as draft:
        write_text(draft / REPORT, markdown(audit))
        for number, finding in enumerate(audit.findings, 1):
            for place, example in enumerate(finding.examples, 1):
                for kind, samples in (("original", example.original), ("planted", example.changed)):
                    name = f"example-{number}-{place}-{kind}.wav"
                    waveform = torch.from_numpy(samples.copy()).float()
                    audio.write(draft / name, waveform, audit.rate)
        sounds = {path.name: encoded(path.read_bytes()) for path in draft.glob("*.wav")}
        page = render(
            "xplain_corpus.audit",
            "page.html",
            {"interval": interval, "percent": percent, "share": share, "sentence": sentence},
            style=STYLE,
            kind="audit",
            title="What does the model listen to?",
            audit=audit,
            header=audit.corpus.header,
            regions=list(named_regions(audit)),
            sounds=sounds,
            method=METHOD,
            scope=scope(audit),
        )
        write_text(draft / PAGE, page)
    return folder / PAGE


def markdown(audit: Audit) -> str:
    """The report, to be read, kept and signed."""
    header = audit.corpus.header
    origin = header.origin
    lines = [
        "# Audit: what does the model listen to?",
        "",
        f"- model: {origin['model']['name']}, weights {origin['model']['sha256']}",
        f"- method: {origin['explainer']['name']} over {origin['synthesizer']['name']}",
        f"- run: {header.key}",
        f"- recordings read: {audit.clips}"
        + (f"; not readable any more: {len(audit.unread)}" if audit.unread else ""),
        "",
        "## Shortcuts",
        "",
    ]
    if audit.shortcuts:
        lines += [f"{n}. {sentence(f)}" for n, f in enumerate(audit.shortcuts, 1)]
    else:
        lines.append("None is proved.")
    lines += ["", "## Cues that go with a label", ""]
    if audit.findings:
        lines += [
            "| cue | label | association | p | of the label | else | planted | removed | proved |",
            "|---|---|---|---|---|---|---|---|---|",
            *(
                f"| {f.cue} | {_cell(f.label)} | {f.association:.2f} | {f.p:.1g} | "
                f"{f.having:.3g} | {f.lacking:.3g} {f.unit} | "
                f"{interval(f.planted)}, {f.tried[0]} clips | "
                f"{interval(f.removed)}, {f.tried[1]} clips | "
                f"{'yes' if f.proved else 'no'} |"
                for f in audit.findings
            ),
            "",
            "Planted, removed: change of the label's probability, with 95 % intervals over clips.",
        ]
    else:
        lines.append("None.")
    for number, finding in enumerate(audit.findings, 1):
        for place, example in enumerate(finding.examples, 1):
            stem = f"example-{number}-{place}"
            lines.append(
                f"- {finding.cue}: {_cell(example.clip)}, {percent(example.before)} "
                f"[as it is]({stem}-original.wav), {percent(example.after)} "
                f"[with the cue]({stem}-planted.wav)"
            )
    lines += [
        "",
        "## Where positive evidence lies",
        "",
        "| label | region | evidence | energy | time × frequency |",
        "|---|---|---|---|---|",
        *(
            f"| {_cell(r.label)} | {r.region} | {share(r.evidence)} | {percent(r.energy)} | "
            f"{percent(r.area)} |"
            for r in audit.regions
        ),
    ]
    if audit.groups:
        lines += [
            "",
            "## By column",
            "",
            "| column | value | clips | label | decided | elsewhere |",
            "|---|---|---|---|---|---|",
            *(
                f"| {_cell(g.column)} | {_cell(g.value)} | {g.clips} | {_cell(g.label)} | "
                f"{share(g.decided)} | {percent(g.elsewhere)} |"
                for g in audit.groups
            ),
        ]
    lines += [
        "",
        "## Method",
        "",
        METHOD,
        "",
        "## What was looked at, and what was not",
        "",
        *(f"- {_cell(line)}" for line in scope(audit)),
        "",
        "Read by: ____________________  Date: __________",
        "",
    ]
    return "\n".join(lines)


def sentence(finding: Finding) -> str:
    """A finding in words."""
    amount = "more" if finding.more else "less"
    if finding.proved:
        return (
            f"{finding.cue} → {finding.label}: planted, it raises the label's probability by "
            f"{interval(finding.planted)}, and removed, it changes it by "
            f"{interval(finding.removed)}; "
            f"{percent(finding.turned.mean)} of other clips turn to {finding.label}."
        )
    return (
        f"{finding.cue}: clips of {finding.label} have {amount} of it, but the model does not "
        "decide by it."
    )


def named_regions(audit: Audit) -> Iterator[str]:
    """Regions that hold much more evidence than energy."""
    for region in audit.regions:
        low = region.evidence.low
        if low is not None and low > 0.05 and low > MOST * region.energy:
            yield (
                f"{region.label}: {region.region} holds {share(region.evidence)} of the "
                f"positive evidence and {percent(region.energy)} of the energy"
            )


def interval(found: Interval) -> str:
    """A mean with its interval."""
    if found.mean is None:
        return "none"
    if found.low is None or found.high is None:
        return f"{found.mean:.2f}"
    return f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"


def share(found: Interval) -> str:
    """A mean share with its interval, of which what no share can be is left out."""
    if found.mean is None or found.low is None or found.high is None:
        return percent(found.mean)
    return f"{found.mean:.0%} [{max(found.low, 0):.0%}, {min(found.high, 1):.0%}]"


def percent(value: float | None) -> str:
    """A share as percent."""
    return "none" if value is None else f"{value:.0%}"


def _cell(text: str) -> str:
    """A name from a file in a table: no line break, and no column of its own."""
    return " ".join(text.split()).replace("|", "\\|")
