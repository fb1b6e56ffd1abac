"""Wrong attributions and right ones, to see what check() says of them on a model; see judged."""

from xplain_evaluation.gallery.judging import (
    BLOCKS,
    RIGHT,
    Judgement,
    Line,
    confusion,
    judged,
    summary,
)
from xplain_evaluation.gallery.ways import WAYS, Materials, Need, Way

__all__ = [
    "BLOCKS",
    "RIGHT",
    "WAYS",
    "Judgement",
    "Line",
    "Materials",
    "Need",
    "Way",
    "confusion",
    "judged",
    "summary",
]
