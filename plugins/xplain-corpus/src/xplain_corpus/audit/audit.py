"""audit(): which cues go with a label, and does the model decide by them?

A cue is named a shortcut where two things hold. Clips that the model calls by a label have more
of it than others have (Mann, Whitney 1947). And the model says so itself: with the cue planted
into clips of other labels it turns to that label, and with the cue removed from clips of the label
it turns away. That second thing is the proof; clips are drawn, and its interval is over clips.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from xplain import audio
from xplain.borrowing import borrowed
from xplain.errors import AudioError, XplainError
from xplain.intervals import Interval, share
from xplain.job import Job
from xplain.progress import track
from xplain.targets import clip_logits
from xplain_corpus.audit.cues import Cue, all_cues
from xplain_corpus.audit.regions import shares
from xplain_corpus.audit.sound import Samples
from xplain_corpus.averages import mean
from xplain_corpus.corpus import Corpus

CLIPS = 400
"""Clips that are read where nothing else is said."""
TRIED = 32
"""Clips of which the model is asked with a cue planted, and with it removed."""
FEWEST = 5
"""Clips on either side, below which nothing is said of a label."""
ASSOCIATED = 0.7
"""Chance that a clip of the label has more of the cue than another, from which it is tried."""
LEVEL = 0.01
"""Error of all associations of an audit together (Bonferroni)."""
PROOF = 0.1
"""Change of the label's probability beyond which both intervals have to lie."""
STRONG = 0.4
"""And beyond which one of them has to."""
LESS = 0.1
"""As much stronger does a lack of something have to be, to be named before something."""
EXAMPLES = 3


@dataclass(frozen=True)
class Example:
    """A clip, and the same with the cue planted or removed: samples at the audit's rate.

    before, after: the label's probability.
    """

    clip: str
    before: float
    after: float
    original: Samples
    changed: Samples


@dataclass(frozen=True)
class Finding:
    """A cue that goes with a label, and what planting and removing it does.

    more: whether clips of the label have more of it, or less. association: the chance that a clip
    of the label has more (or less) of it than another. having, lacking: medians, in ``unit``.
    planted, removed: mean change of the label's probability; turned: share of the clips in which
    it was planted that came to have the label. tried: in how many clips it was planted, and from
    how many removed.
    """

    cue: str
    label: str
    more: bool
    association: float
    p: float
    having: float
    lacking: float
    unit: str
    planted: Interval
    removed: Interval
    turned: Interval
    examples: tuple[Example, ...]
    tried: tuple[int, int] = (0, 0)

    @property
    def proved(self) -> bool:
        """Whether the model turns to the label with the cue, and away from it without.

        One by more than STRONG, and the other by more than PROOF. One alone is no proof: to
        change a clip takes evidence away, too, and that always favours some label. And what is
        weak may be a word's own: some begin late, and some have nothing high.
        """
        up, down = self.planted.low or 0.0, -(self.removed.high or 0.0)
        return min(up, down) > PROOF and max(up, down) > STRONG

    @property
    def effect(self) -> float:
        """The mean of both changes, towards the label; of two that are equal, more comes first.

        A word that begins late ends late: the silence that is there is the cue.
        """
        both = ((self.planted.mean or 0.0) - (self.removed.mean or 0.0)) / 2
        return both if self.more else both - LESS


@dataclass(frozen=True)
class Region:
    """A label's positive evidence in a region, beside energy and area: means over clips."""

    label: str
    region: str
    evidence: Interval
    energy: float
    area: float


@dataclass(frozen=True)
class Group:
    """Clips of one value of a column of the manifest: how often each label is decided."""

    column: str
    value: str
    label: str
    clips: int
    decided: Interval
    elsewhere: float


@dataclass(frozen=True)
class Audit:
    """What a model listens to in a corpus.

    findings: cues that go with a label, the proved ones first, by effect. regions: where positive
    evidence lies. groups: by column, where the interval does not hold the share elsewhere.
    unread: clips whose recordings are not there any more, with the reason. seed: by which clips
    were drawn, out of ``decided`` with a decision. labels: that were compared; few: those of which
    too few clips were called, or all but too few. cues: that were looked for.
    """

    corpus: Corpus
    clips: int
    rate: int
    findings: tuple[Finding, ...]
    regions: tuple[Region, ...]
    groups: tuple[Group, ...]
    unread: Mapping[str, str]
    seed: int
    decided: int
    labels: tuple[str, ...]
    few: tuple[str, ...]
    cues: tuple[str, ...]

    @property
    def shortcuts(self) -> tuple[Finding, ...]:
        """The findings that are proved."""
        return tuple(finding for finding in self.findings if finding.proved)


@dataclass(frozen=True)
class Heard:
    """A clip that was read: its decision, and its samples at the audit's rate."""

    id: str
    decision: str
    samples: Samples


def audit(
    corpus: Corpus,
    *,
    by: Sequence[str] = (),
    model: str | None = None,
    clips: int = CLIPS,
    seed: int = 0,
) -> Audit:
    """Audit a run; the recordings are read, and the model is asked about changed ones.

    by: columns of the manifest to compare labels over. model: as for Corpus.open(). clips: as
    many are drawn, evenly over the labels. Raises XplainError where nothing can be said: fewer
    than two labels with FEWEST clips each, a column that no clip has.
    """
    job = corpus.job(model)
    rate = job.route.model.sample_rate
    heard: list[Heard] = []
    unread: dict[str, str] = {}
    places: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    frequencies = corpus.header.frequencies
    hertz = None if frequencies is None else np.asarray(frequencies)
    chosen = _chosen(corpus, clips, seed)
    for name, path, decision, target in track(chosen, len(chosen), "reading clips"):
        try:
            found = audio.resample(audio.read(path), rate)
        except AudioError as error:
            unread[name] = str(error)
            continue
        samples = found.waveform.double().numpy()
        heard.append(Heard(name, decision, samples))
        attribution = corpus.attribution(name).double().numpy()
        for each in shares(attribution, hertz, samples, rate):
            places[target, each.region].append((each.evidence, each.energy, each.area))
    labels = [
        label
        for label in dict.fromkeys(one.decision for one in heard)
        if FEWEST <= sum(one.decision == label for one in heard) <= len(heard) - FEWEST
    ]
    if not labels:
        raise XplainError(
            f"{corpus.place}: an audit compares labels, and fewer than two have {FEWEST} clips; "
            "explain a corpus in which the model decides for several"
        )
    findings = findings_of(heard, labels, rate, job, seed)
    return Audit(
        corpus=corpus,
        clips=len(heard),
        rate=rate,
        findings=tuple(findings),
        regions=tuple(
            Region(label, region, mean([e for e, _, _ in each]), *np.mean(each, axis=0)[1:])
            for (label, region), each in sorted(places.items(), key=lambda place: place[0][0])
        ),
        groups=tuple(g for column in by for g in _groups(corpus, column)),
        unread=unread,
        seed=seed,
        decided=int(corpus.query("SELECT count(*) FROM clips WHERE decision IS NOT NULL")[1][0][0]),
        labels=tuple(labels),
        few=tuple(sorted({one.decision for one in heard} - set(labels))),
        cues=tuple(cue.name for cue in all_cues()),
    )


def _chosen(corpus: Corpus, clips: int, seed: int) -> list[tuple[str, str, str, str]]:
    """Id, path, decision and target of the clips to be read: drawn evenly over decisions."""
    _, rows = corpus.query(
        "SELECT id, path, decision, target FROM clips WHERE decision IS NOT NULL ORDER BY id"
    )
    if not rows:
        raise XplainError(f"{corpus.place} holds no clip for which a label was decided")
    order = np.random.default_rng(seed).permutation(len(rows))
    drawn: dict[str, list[tuple[str, str, str, str]]] = defaultdict(list)
    for place in order:
        drawn[rows[place][2]].append(rows[place])
    turns = sorted((turn, row) for each in drawn.values() for turn, row in enumerate(each))
    return sorted(row for _, row in turns[:clips])


def findings_of(
    heard: Sequence[Heard], labels: Sequence[str], rate: int, job: Job, seed: int
) -> list[Finding]:
    """Find every cue that goes with a label; of one cue and several labels, the strongest.

    labels: of which FEWEST clips or more are called, and as many are not. rate: of the samples.
    """
    cues = all_cues()
    decisions = np.array([one.decision for one in heard])
    findings: list[Finding] = []
    for cue in track(cues, len(cues), "trying cues"):
        amounts = np.array([cue.amount(one.samples, rate) for one in heard])
        tried = []
        for label in labels:
            own = decisions == label
            test = stats.mannwhitneyu(amounts[own], amounts[~own])
            association = float(test.statistic / (own.sum() * (~own).sum()))
            more = association >= 0.5
            if (cue.rare and not more) or max(association, 1 - association) < ASSOCIATED:
                continue
            if np.median(amounts[own]) < cue.least:
                continue
            if test.pvalue > LEVEL / (len(cues) * len(labels)):
                continue
            found = Finding(
                cue=cue.name,
                label=label,
                more=more,
                association=max(association, 1 - association),
                p=float(test.pvalue),
                having=float(np.median(amounts[own])),
                lacking=float(np.median(amounts[~own])),
                unit=cue.unit,
                planted=Interval(None, None, None),
                removed=Interval(None, None, None),
                turned=Interval(None, None, None),
                examples=(),
            )
            tried.append(_tried(found, cue, heard, amounts, rate, job, seed))
        if tried:
            findings.append(max(tried, key=lambda f: (f.proved, f.effect)))
    return sorted(findings, key=lambda f: (f.proved, f.effect), reverse=True)


def _tried(
    found: Finding,
    cue: Cue,
    heard: Sequence[Heard],
    amounts: npt.NDArray[np.float64],
    rate: int,
    job: Job,
    seed: int,
) -> Finding:
    """Plant the cue in clips of other labels, remove it from the label's, and ask the model."""
    own = np.array([one.decision == found.label for one in heard])
    middle = (found.having + found.lacking) / 2
    there = (amounts > middle) == found.more
    having = [one for one, a, b in zip(heard, own, there, strict=True) if a and b]
    lacking = [one for one, a, b in zip(heard, own, there, strict=True) if not a and not b]
    cue.fit([one.samples for one in having], [one.samples for one in lacking], rate)
    generator = np.random.default_rng(seed)
    changes = {}
    for kind, group, change in (
        ("planted", lacking, cue.planted),
        ("removed", having, cue.removed),
    ):
        drawn = [group[n] for n in sorted(generator.permutation(len(group))[:TRIED])]
        before = asked(job, [one.samples for one in drawn])
        changed = [change(one.samples, rate) for one in drawn]
        changes[kind] = drawn, before, changed, asked(job, changed)
    place = job.route.model.labels.index(found.label)
    drawn, before, changed, after = changes["planted"]
    _, full, _, without = changes["removed"]
    rises = after[:, place] - before[:, place]
    examples = [
        Example(one.id, float(b), float(a), one.samples, c)
        for one, b, a, c in zip(drawn, before[:, place], after[:, place], changed, strict=True)
    ]
    examples.sort(key=lambda e: e.before - e.after)
    return replace(
        found,
        planted=mean(rises),
        removed=mean(without[:, place] - full[:, place]),
        turned=share([float(row.argmax() == place) for row in after]),
        examples=tuple(examples[:EXAMPLES]),
        tried=(len(after), len(without)),
    )


def asked(job: Job, clips: Sequence[Samples]) -> npt.NDArray[np.float64]:
    """Ask the model about clips at its rate: probabilities (clips, labels)."""
    model = job.route.model
    said = [torch.zeros(0, len(model.labels))]
    with borrowed(job.route, job.device), torch.no_grad():
        for clip in clips:
            waveform = torch.from_numpy(clip.clip(-1, 1)).float()[None].to(job.device)
            logits = clip_logits(job.route.hear(waveform))
            decided = logits.sigmoid() if model.multilabel else logits.softmax(dim=-1)
            said.append(decided.cpu())
    return torch.cat(said).double().numpy()


def _groups(corpus: Corpus, column: str) -> list[Group]:
    """Values of a column with which a label is decided more or less often than elsewhere."""
    _, rows = corpus.query(
        f"SELECT meta[{_quoted(column)}], decision, count(*) FROM clips WHERE decision IS NOT NULL "
        "GROUP BY ALL ORDER BY ALL"
    )
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for value, label, count in rows:
        counts["" if value is None else str(value)][label] = int(count)
    if set(counts) <= {""}:
        raise XplainError(f"{corpus.place}: no clip has anything in the column {column!r}")
    totals = {value: sum(each.values()) for value, each in counts.items()}
    whole = sum(totals.values())
    labels = {label for each in counts.values() for label in each}
    found = []
    for value, each in counts.items():
        rest = whole - totals[value]
        if totals[value] < FEWEST or rest < FEWEST:
            continue
        for label in sorted(labels):
            own = each.get(label, 0)
            decided = share([1.0] * own + [0.0] * (totals[value] - own))
            others = sum(e.get(label, 0) for v, e in counts.items() if v != value) / rest
            if decided.low is None or decided.high is None:
                continue
            if not decided.low <= others <= decided.high:
                found.append(Group(column, value, label, totals[value], decided, others))
    return sorted(found, key=lambda g: -abs((g.decided.mean or 0.0) - g.elsewhere))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
