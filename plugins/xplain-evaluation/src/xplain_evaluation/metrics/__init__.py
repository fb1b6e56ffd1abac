"""Metrics of explanations: pure functions of one clip's evidence.

The decorator that declares a metric is xplain.metric.metric.
"""

import lazy_loader

# At first use: discovery imports this package, and must load no torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
