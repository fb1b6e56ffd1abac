"""Methods × clips → a table with intervals, resumable at the clip; see run()."""

from xplain_evaluation.benchmark.config import Config, Data, Item, Method, Representation
from xplain_evaluation.benchmark.run import run
from xplain_evaluation.benchmark.table import Comparison, Results, Row

__all__ = [
    "Comparison",
    "Config",
    "Data",
    "Item",
    "Method",
    "Representation",
    "Results",
    "Row",
    "run",
]
