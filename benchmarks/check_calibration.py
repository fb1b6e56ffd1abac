"""Can check() be believed? What it says of right and wrong attributions, on six models.

Its rules were chosen on zoo:digits and zoo:digits-latent, on training clips, and one of them (the
spread) on the plain CNN and INA too, with a look at four clips of CREPE and Resemblyzer. Each
clip's right attributions are checked, those of a random network against that network, and the
gallery's ways to be wrong.

    python benchmarks/check_calibration.py [--model NAME]… [--clips N] [--out CSV]
    python benchmarks/check_calibration.py --table CSV      the table of what was measured
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from calibration.models import SUBJECTS, Subject

import xplain
from xplain.clips import Failure
from xplain.intervals import share
from xplain_evaluation.controls import Loudness
from xplain_evaluation.gallery import RIGHT, Judgement, judged
from xplain_evaluation.sanity import randomised

COLUMNS = (
    *("model", "chosen", "clip", "way", "right", "mild", "decided", "kind", "evaluations"),
    *("seconds", "hardest_contrast", "mean_contrast", "first_against_next", "spread"),
    *("unimportant_share", "groups"),
)
FIGURES = COLUMNS[10:]
CHEAP = ("integrated gradients", "GradientSHAP", "ablation of blocks")
"""Right attributions of slow models; the others take thousands of evaluations."""


def main() -> None:
    """Measure and write, or print the table of what was written."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--model", action="append", choices=[s.name for s in SUBJECTS])
    arguments.add_argument("--clips", type=int, default=10, help="of each model")
    arguments.add_argument("--out", type=Path, default=Path("out/check_calibration.csv"))
    arguments.add_argument("--table", type=Path, help="print the table of this CSV, and stop")
    options = arguments.parse_args()
    if options.table:
        with options.table.open(newline="") as file:
            show(list(csv.DictReader(file)))
        return
    warnings.simplefilter("ignore", xplain.XplainWarning)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    new = not options.out.exists()
    with options.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        if new:
            writer.writeheader()
        for subject in SUBJECTS:
            if options.model is None or subject.name in options.model:
                for row in measured(subject, options.clips):
                    writer.writerow(row)
                    file.flush()
    with options.out.open(newline="") as file:
        show(list(csv.DictReader(file)))


def measured(subject: Subject, clips: int) -> Iterator[dict[str, Any]]:
    """Every judgement of a subject, as a row."""
    for model, given, synthesizer, target in subject.make(clips):
        settings: Any = {} if synthesizer is None else {"synthesizer": synthesizer}
        settings |= {} if target is None else {"target": target}
        before = time.process_time()
        right = {name: how for name, how in RIGHT.items() if subject.fast or name in CHEAP}
        for one in judged(given, model, right=right, **settings):
            if isinstance(one, Failure):
                print(f"failed: {one.name}: {one.error}")
                continue
            now = time.process_time()
            yield _row(subject, one, now - before)
            before = now
        copy = randomised(model)
        for clip in given:
            asked = xplain.explain(clip, model, explainer=Loudness(), **settings).target.question
            found = xplain.explain(clip, copy, **{**settings, "target": asked})
            verdict = found.check()
            way = "a random network's own"
            yield _row(subject, Judgement(found.name, way, True, False, True, verdict), 0)


def _row(subject: Subject, one: Judgement, seconds: float) -> dict[str, Any]:
    own = {name: getattr(one, name) for name in ("clip", "way", "right", "mild", "decided")}
    figures = {name: one.verdict.figures.get(name) for name in FIGURES}
    known = {"model": subject.name, "chosen": subject.chosen, "seconds": round(seconds, 3)}
    judged = {"kind": one.verdict.kind, "evaluations": one.verdict.evaluations}
    return {**known, **own, **judged, **figures}


def show(rows: list[dict[str, str]]) -> None:
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
    spent = sorted(int(row["evaluations"]) for row in rows)
    print(f"\nmedian evaluations: {spent[len(spent) // 2]}")


def _right(row: dict[str, str]) -> bool:
    return row["right"] == "True" and not row["way"].startswith("a random")


GROUPS = (
    ("right, model decided", lambda r: _right(r) and r["decided"] == "True"),
    ("right, model not sure", lambda r: _right(r) and r["decided"] != "True"),
    ("a random network's own", lambda r: r["way"].startswith("a random network")),
    ("wrong", lambda r: r["right"] != "True" and r["mild"] != "True" and r["decided"] == "True"),
    ("mildly wrong", lambda r: r["mild"] == "True" and r["decided"] == "True"),
    ("wrong, model not sure", lambda r: r["right"] != "True" and r["decided"] != "True"),
)


if __name__ == "__main__":
    main()
