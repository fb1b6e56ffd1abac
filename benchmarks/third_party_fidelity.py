"""Explanations of six models that nobody here trained, by six methods, beside loudness.

For each clip whose decision has a probability of at least .6 (a regression's all): the top 2, 5,
10 and 20 % are kept and removed by each method, by loudness (the latents themselves) and at
random, decoded, and the model is asked again: does the decision survive, and what is its
probability (a regression's value, a cosine)? Rows are added to a CSV as they come; what is there
is not done again, so that a run goes on where it was stopped. The pitch of singing is Praat's:
pip install -c constraints.txt praat-parselmouth.

    python benchmarks/third_party_fidelity.py --clips 30 --out out/third_party.csv
    python benchmarks/third_party_fidelity.py --show out/third_party.csv
    python benchmarks/third_party_fidelity.py --models crepe --clips 12 --larger
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rows import add, read
from scipy import stats
from third_party.cases import CASES, TRAINING, Case, cases
from torch import Tensor

import xplain
from xplain.interfaces import Attribution

RATIOS = (0.02, 0.05, 0.1, 0.2)
LARGER = (0.3, 0.5, 0.7)
"""Of CREPE, whose decisions survive the others: shown apart, by --larger."""
SURE = 0.6
METHODS: Mapping[str, Mapping[str, object]] = {
    "integrated-gradients": {},
    "gradient-shap": {"samples": 32},
    "smooth-grad": {"samples": 20},
    "occlusion": {},
    "kernel-shap": {"samples": 200},
    "lime": {"samples": 200},
}
ORDERS = ("method", "loudness", "random")
COLUMNS = (
    *("model", "clip", "method", "replacement", "probability", "value"),
    *("completeness_error", "converged", "verdict", "seconds", "peak_mb", "truth", "truth_area"),
    *(f"{what}_{order}_{r}" for order in ORDERS for what in ("keep", "remove") for r in RATIOS),
    *(f"{what}_{order}_{r}_p" for order in ORDERS for what in ("keep", "remove") for r in RATIOS),
)


def main() -> None:
    """Measure, and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--models", nargs="*", default=list(CASES))
    arguments.add_argument("--methods", nargs="*", default=list(METHODS))
    arguments.add_argument("--clips", type=int, default=30)
    arguments.add_argument("--check", action="store_true", help="verdicts of integrated gradients")
    arguments.add_argument("--out", type=Path, default=Path("out/third_party.csv"))
    arguments.add_argument("--larger", action="store_true", help="print larger removals alone")
    arguments.add_argument("--show", type=Path, help="only print what is there")
    options = arguments.parse_args()
    if options.show is None:
        warnings.simplefilter("ignore", xplain.XplainWarning)
        torch.set_num_threads(1)
        if options.larger:
            larger(options.models, options.clips)
            return
        for name in options.models:
            measure(name, options)
    show(read(options.show or options.out))


def measure(name: str, options: argparse.Namespace) -> None:
    """Add a model's rows."""
    done = {(row["model"], row["clip"], row["method"]) for row in read(options.out)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    found = 0
    for case in cases(name, 3 * options.clips):
        sure, others = False, {}
        for method in options.methods:
            if (name, case.name, method) in done:
                sure = True
                continue
            row = explained(case, method, options.check, others)
            if row is None:
                break
            sure = True
            add(options.out, COLUMNS, {"model": name, "clip": case.name, **row})
        found += sure
        if found == options.clips:
            break


def larger(names: Sequence[str], clips: int) -> None:
    """Print whether decisions survive when more is removed by integrated gradients."""
    print("| model | clips | removed | by it | by loudness | at random | loudness − it |")
    print("|---" * 7 + "|")
    for name in names:
        found = []
        for case in cases(name, clips):
            e = xplain.explain((case.samples, 16_000), case.model, target=case.target)
            if e.target.probability is not None and e.target.probability < SURE:
                continue
            found.append({o: curves(e, o, v, LARGER) for o, v in orders(e).items()})
        for ratio in LARGER:
            survives = {
                order: np.array(
                    [float(str(row[order][f"remove_{order}_{ratio}"])) for row in found]
                )
                for order in ORDERS
            }
            means = (f"{survives[order].mean():.2f}" for order in ORDERS)
            cells = (name, len(found), f"{ratio:.0%}", *means)
            apart = difference(survives["loudness"] - survives["method"])
            print("| " + " | ".join(map(str, (*cells, apart))) + " |", flush=True)


def orders(explanation: xplain.Explanation) -> dict[str, Tensor]:
    """What ranks the elements: the method's attribution, the latents themselves, and chance."""
    loudness = explanation.live.latents.values[0]
    chance = torch.rand(loudness.shape, generator=torch.Generator().manual_seed(1))
    return {"method": explanation.attribution, "loudness": loudness, "random": chance}


def explained(
    case: Case, method: str, check: bool, others: dict[str, dict[str, object]]
) -> dict[str, object] | None:
    """A row; None where the model is not sure. others: the orders that are no method's."""
    start = time.process_time()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    explanation = xplain.explain(
        (case.samples, 16_000),
        case.model,
        explainer=method,
        params=METHODS[method],
        target=case.target,
    )
    seconds, peak = time.process_time() - start, peak_mb()
    probability = explanation.target.probability
    if probability is not None and probability < SURE:
        return None
    replacement = str(explanation.provenance["replacement"]["name"])
    row: dict[str, object] = {
        "method": method,
        "replacement": replacement.split("/")[-1],
        "probability": probability,
        "value": explanation.target.value,
        "completeness_error": explanation.completeness_error,
        "converged": explanation.converged,
        "seconds": seconds,
        "peak_mb": peak,
    }
    if case.truth is not None and explanation.frequencies is not None:
        positive = explanation.attribution.clamp(min=0)
        where = case.truth(torch.tensor(explanation.frequencies), positive.shape[1])
        row["truth"] = float(positive[where].sum() / positive.sum())
        row["truth_area"] = float(where.float().mean())
    if replacement not in others:
        others[replacement] = {}
        for order, values in orders(explanation).items():
            if order != "method":
                others[replacement] |= curves(explanation, order, values)
    row |= others[replacement] | curves(explanation, "method", explanation.attribution)
    if check and method == "integrated-gradients":
        row["verdict"] = explanation.check().kind
    return row


def curves(
    explanation: xplain.Explanation, order: str, values: Tensor, ratios: Sequence[float] = RATIOS
) -> dict[str, object]:
    """Whether the decision survives, for each ratio."""
    found = explanation.live.curves(Attribution(values), ratios, reencoded=True)
    row: dict[str, object] = {}
    for what, said in (("keep", found.kept), ("remove", found.removed)):
        for place, ratio in enumerate(ratios):
            row[f"{what}_{order}_{ratio}"] = int(found.agrees(said)[place])
            row[f"{what}_{order}_{ratio}_p"] = round(float(found.of(said)[place]), 6)
    return row


def peak_mb() -> float:
    """The most memory that this process held since its peak was cleared, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def show(rows: Sequence[Mapping[str, str]]) -> None:
    """Print shares of decisions that survive, over the ratios, with paired differences."""
    by: dict[tuple[str, str], list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        by[row["model"], row["method"]].append(row)
    print(
        "| model | method | clips | noise | converged | verdicts f/p/u/i | s | MB | remove "
        "| loudness | random | loudness − method | score lost | by loudness | method − loudness "
        "| keep | random | keep − random | score kept − random | truth (of the area) |"
    )
    print("|---" * 20 + "|")
    for (model, method), some in by.items():
        remove = {order: over_ratios(some, "remove", order) for order in ORDERS}
        keep = {order: over_ratios(some, "keep", order) for order in ORDERS}
        lost = {order: score_lost(some, "remove", order) for order in ORDERS}
        short = {order: score_lost(some, "keep", order) for order in ORDERS}
        verdicts = [row["verdict"] for row in some if row["verdict"]]
        kinds = ("faithful", "partly", "unfaithful", "inconclusive")
        converged = [row["converged"] == "True" for row in some if row["converged"]]
        truth = [float(row["truth"]) for row in some if row["truth"]]
        area = [float(row["truth_area"]) for row in some if row["truth_area"]]
        cells = (
            model + (" (training)" if model in TRAINING else ""),
            method,
            len(some),
            f"{np.mean([row['replacement'] == 'noise' for row in some]):.2f}",
            f"{np.mean(converged):.2f}" if converged else "",
            "/".join(str(verdicts.count(kind)) for kind in kinds) if verdicts else "",
            f"{np.median([float(row['seconds']) for row in some]):.1f}",
            f"{max(float(row['peak_mb']) for row in some):.0f}",
            *(f"{remove[order].mean():.2f}" for order in ORDERS),
            difference(remove["loudness"] - remove["method"]),
            f"{lost['method'].mean():.2f}",
            f"{lost['loudness'].mean():.2f}",
            difference(lost["method"] - lost["loudness"]),
            f"{keep['method'].mean():.2f}",
            f"{keep['random'].mean():.2f}",
            difference(keep["method"] - keep["random"]),
            difference(short["random"] - short["method"]),
            f"{np.median(truth):.2f} ({np.median(area):.2f})" if truth else "",
        )
        print("| " + " | ".join(map(str, cells)) + " |")


def score_lost(rows: Sequence[Mapping[str, str]], what: str, order: str) -> np.ndarray:
    """How far each clip's log-odds (of a regression the value) fall, mean over the ratios.

    what: whether the top is kept or removed.
    """

    def score(row: Mapping[str, str], text: str) -> float:
        if not row["probability"]:
            return float(text)
        inside = min(max(float(text), 1e-6), 1 - 1e-6)
        return float(np.log(inside / (1 - inside)))

    return np.array(
        [
            score(row, row["probability"] or row["value"])
            - np.mean([score(row, row[f"{what}_{order}_{r}_p"]) for r in RATIOS])
            for row in rows
        ]
    )


def over_ratios(rows: Sequence[Mapping[str, str]], what: str, order: str) -> np.ndarray:
    """For each clip the share of ratios at which its decision survives."""
    return np.array([[float(row[f"{what}_{order}_{r}"]) for r in RATIOS] for row in rows]).mean(1)


def difference(values: np.ndarray) -> str:
    """A mean of paired differences with its 95 % interval (t)."""
    if len(values) < 2 or values.std() == 0:
        return f"{values.mean():+.2f}"
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return f"{values.mean():+.2f} ({low:+.2f} to {high:+.2f})"


if __name__ == "__main__":
    main()
