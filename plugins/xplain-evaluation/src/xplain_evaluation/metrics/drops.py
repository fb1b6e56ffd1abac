"""Changes of the label's probability with only the explanation kept, or removed.

p is the probability of the explained label for the clip, o with only the explanation kept, u
with it removed. All three are probabilities: nothing is put through a softmax
here.
"""

from __future__ import annotations

import math
from typing import Literal

from xplain.errors import XplainError, nearest
from xplain.metric import Undefined, metric
from xplain_evaluation.metrics import checked as checks


@metric(
    better="higher",
    range=(0, 100),
    category="faithfulness",
    source="Chattopadhay et al. 2018, Grad-CAM++ (increase in confidence)",
    share=True,
)
def average_increase(p: float, o: float) -> float:
    """100 if the label is more probable with the top ρ alone than for the clip, else 0."""
    return 100.0 * (checks.probability(o, "o") > checks.probability(p, "p"))


@metric(
    better="lower",
    range=(0, 100),
    category="faithfulness",
    source="Chattopadhay et al. 2018, Grad-CAM++ (average drop %)",
)
def average_drop(p: float, o: float) -> float:
    """Percent of the label's probability that is lost when only the explanation is left.

    100 · max(0, p − o) / p. Undefined where p is 0.
    """
    p, o = checks.probability(p, "p"), checks.probability(o, "o")
    if p == 0:
        raise Undefined("average-drop divides by p, which is 0: the label has nothing to lose")
    return 100 * max(0.0, p - o) / p


@metric(
    better="higher",
    range=(0, 100),
    category="faithfulness",
    source="Zhang et al. 2024, Opti-CAM (average gain)",
)
def average_gain(p: float, o: float) -> float:
    """Percent of what the label's probability lacks that the explanation alone gains.

    100 · max(0, o − p) / (1 − p). Undefined where p is 1.
    """
    p, o = checks.probability(p, "p"), checks.probability(o, "o")
    if p == 1:
        raise Undefined("average-gain divides by 1 − p, and p is 1: there is nothing to gain")
    return 100 * max(0.0, o - p) / (1 - p)


@metric(
    better="higher",
    range=(-1, 1),
    category="faithfulness",
    source="Parekh et al. 2022, Listen to Interpret (faithfulness)",
)
def faithfulness(
    p: float, u: float, *, space: Literal["probability", "logit"] = "probability"
) -> float:
    """How far the label's probability falls when the explanation is taken out.

    p − u. space="logit": log p/(1 − p) − log u/(1 − u), which has no bounds and is undefined
    where p or u is 0 or 1.
    """
    p, u = checks.probability(p, "p"), checks.probability(u, "u")
    if space == "probability":
        return p - u
    if space == "logit":
        return _log_odds(p, "p") - _log_odds(u, "u")
    raise XplainError(
        f"faithfulness has no space {space!r}; {nearest(space, ('probability', 'logit'))}"
    )


def _log_odds(probability: float, name: str) -> float:
    if probability in (0, 1):
        raise Undefined(f"{name} is {probability:g}, whose log-odds are infinite")
    return math.log(probability) - math.log1p(-probability)
