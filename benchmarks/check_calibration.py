"""Can check() be believed? What it says of right and wrong attributions, on eleven models.

Its rules were chosen on zoo:digits, zoo:digits-latent, the plain CNN, INA and the CRNN, with a
look at a few clips of CREPE and Resemblyzer that are left out here. Each clip's right
attributions are checked, those of a random network against that network, and the gallery's ways
to be wrong. A clip's rows are written when it is done, and what is there is not done again.

    python benchmarks/check_calibration.py [--model NAME]… [--clips N] [--out CSV]
    python benchmarks/check_calibration.py --table CSV      the table of what was measured
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import torch
from calibration.models import SUBJECTS, Subject
from rows import add, read

import xplain
from xplain.clips import Failure
from xplain.intervals import share
from xplain_evaluation.controls import Loudness
from xplain_evaluation.gallery import RIGHT, Judgement, judged
from xplain_evaluation.sanity import randomised

COLUMNS = (
    *("model", "chosen", "clip", "way", "right", "mild", "decided", "kind", "evaluations"),
    *("seconds", "gradients", "hardest_contrast", "mean_contrast", "unimportant_share"),
    *("like_each_alone", "like_each_on_average", "like_single", "within_half", "groups", "reason"),
)
FIGURES = COLUMNS[11:-1]


def main() -> None:
    """Measure and write, or print the table of what was written."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--model", action="append", choices=[s.name for s in SUBJECTS])
    arguments.add_argument("--clips", type=int, default=10, help="of each model")
    arguments.add_argument("--out", type=Path, default=Path("out/check_calibration.csv"))
    arguments.add_argument("--table", type=Path, help="print the table of this CSV, and stop")
    options = arguments.parse_args()
    if not options.table:
        warnings.simplefilter("ignore", xplain.XplainWarning)
        torch.set_num_threads(1)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        done = {(row["model"], row["clip"]) for row in read(options.out)}
        for subject in SUBJECTS:
            if options.model is None or subject.name in options.model:
                those = {clip for model, clip in done if model == subject.name}
                for rows in measured(subject, options.clips, those):
                    add(options.out, COLUMNS, *rows)
    show(read(options.table or options.out))


def measured(subject: Subject, clips: int, done: Collection[str]) -> Iterator[list[dict[str, Any]]]:
    """Every judgement of a subject, as rows: those of one clip after those of another."""
    right = {name: RIGHT[name] for name in subject.right}
    for model, every, settings in subject.make(clips):
        named = {(c.stem if isinstance(c, Path) else c.name): c for c in every}
        given = {name: clip for name, clip in named.items() if name not in done}
        if not given:
            continue
        copy = randomised(model)
        found = judged(list(given.values()), model, right=right, **settings)
        for name, some in groupby(found, lambda one: one.name if _failed(one) else one.clip):
            rows = []
            for one in some:
                if isinstance(one, Failure):
                    print(f"failed: {one.name}: {one.error}")
                else:
                    rows.append(_row(subject, one))
            if rows and "grouping" not in settings:
                clip = given[name]
                # Of the same label, which Loudness finds without asking the model much.
                asked = xplain.explain(clip, model, explainer=Loudness(), **settings)
                own = {**settings, "target": asked.target.question}
                verdict = xplain.explain(clip, copy, **own).check()
                rows.append(_row(subject, Judgement(name, OWN, True, False, True, verdict)))
            yield rows


def _failed(one: Judgement | Failure) -> bool:
    return isinstance(one, Failure)


def _row(subject: Subject, one: Judgement) -> dict[str, Any]:
    own = {name: getattr(one, name) for name in ("clip", "way", "right", "mild", "decided")}
    said = {name: one.verdict.figures.get(name) for name in FIGURES}
    figures = {name: None if value is None else round(value, 4) for name, value in said.items()}
    known = {"model": subject.name, "chosen": subject.chosen}
    took = {"seconds": round(one.seconds, 4), "gradients": round(one.gradients, 4)}
    judged = {"kind": one.verdict.kind, "evaluations": one.verdict.evaluations}
    reason = {"reason": one.verdict.reasons[0] if one.verdict.reasons else ""}
    return {**known, **took, **own, **judged, **figures, **reason}


def show(rows: Sequence[dict[str, str]]) -> None:
    """Print shares with Wilson's intervals, by model and kind of attribution."""
    kinds = ("faithful", "partly", "unfaithful", "inconclusive")
    print(f"| model | attributions | n | {' | '.join(kinds)} |\n|---|---|---|{'---|' * len(kinds)}")
    models = [*dict.fromkeys(row["model"] for row in rows), "reported models together"]
    for model in models:
        for name, wanted in GROUPS:
            some = [
                row["kind"]
                for row in rows
                if row["model"] == model or (model == models[-1] and row["chosen"] == "False")
                if wanted(row)
            ]
            if some:
                shares = [share([float(kind == one) for one in some]) for kind in kinds]
                cells = [
                    "-"
                    if s.mean is None or s.low is None
                    else f"{s.mean:.2f} [{s.low:.2f}, {s.high:.2f}]"
                    for s in shares
                ]
                print(f"| {model} | {name} | {len(some)} | {' | '.join(cells)} |")
    for right in ("True", "False"):
        timed = [row for row in rows if row["right"] == right and float(row["gradients"])]
        evaluations = median(int(row["evaluations"]) for row in timed)
        time = median(float(row["seconds"]) / float(row["gradients"]) for row in timed)
        what = "right" if right == "True" else "wrong"
        print(f"\n{what}: median evaluations {evaluations}, {time:.2f} of the time of 50 steps")


Wanted = Callable[[dict[str, str]], bool]


def _decided(right: bool, *ways: str, mild: bool = False) -> Wanted:
    """Rows of clips of which the model is sure; of some ways, or of all."""
    asked = (str(right), str(mild), "True")

    def wanted(row: dict[str, str]) -> bool:
        known = (row["right"], row["mild"], row["decided"]) == asked
        return known and (row["way"] in ways if ways else True)

    return wanted


OWN = "a random network's own"
GROUPS: Sequence[tuple[str, Wanted]] = (
    ("right, integrated gradients", _decided(True, "integrated gradients", "GradientSHAP")),
    ("right, by removal", _decided(True, "occlusion", "ablation of blocks")),
    ("right, Shapley values", _decided(True, "Shapley values of blocks")),
    (OWN, lambda r: r["way"] == OWN),
    ("wrong", _decided(False)),
    ("mildly wrong", _decided(False, mild=True)),
    ("right, model not sure", lambda r: r["right"] == "True" and r["decided"] != "True"),
    ("wrong, model not sure", lambda r: r["right"] != "True" and r["decided"] != "True"),
)


if __name__ == "__main__":
    main()
