from .contracts import ExplainerContract as ExplainerContract
from .contracts import GroupingContract as GroupingContract
from .contracts import MetricContract as MetricContract
from .contracts import ReplacementContract as ReplacementContract
from .contracts import SegmenterContract as SegmenterContract
from .contracts import SynthesizerContract as SynthesizerContract
from .rules.rule import Report as Report
