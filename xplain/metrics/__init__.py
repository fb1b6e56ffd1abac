"""Metrics of explanations: pure functions of one clip's evidence.

Names are imported at first use, as in xplain: discovery imports this package, and must load
no torch. The decorator that declares a metric is xplain.metrics.metric.metric.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from xplain.metrics.plugin import METRICS

if TYPE_CHECKING:  # for type checkers and editors, which do not run __getattr__
    from xplain.metrics.axioms import completeness_error as completeness_error
    from xplain.metrics.concentration import complexity as complexity
    from xplain.metrics.concentration import sparseness as sparseness
    from xplain.metrics.decisions import fidelity as fidelity
    from xplain.metrics.decisions import heard_fidelity as heard_fidelity
    from xplain.metrics.decisions import heard_removal as heard_removal
    from xplain.metrics.decisions import input_fidelity as input_fidelity
    from xplain.metrics.decisions import removal as removal
    from xplain.metrics.decisions import round_trip as round_trip
    from xplain.metrics.drops import average_drop as average_drop
    from xplain.metrics.drops import average_gain as average_gain
    from xplain.metrics.drops import average_increase as average_increase
    from xplain.metrics.drops import faithfulness as faithfulness
    from xplain.metrics.localisation import pointing_game as pointing_game
    from xplain.metrics.localisation import relevance_mass as relevance_mass
    from xplain.metrics.localisation import time_localisation_auc as time_localisation_auc
    from xplain.metrics.metric import Evidence as Evidence
    from xplain.metrics.metric import Metric as Metric
    from xplain.metrics.metric import Undefined as Undefined
    from xplain.metrics.model_randomisation import randomisation as randomisation
    from xplain.metrics.perturbation import comprehensiveness as comprehensiveness
    from xplain.metrics.perturbation import deletion_auc as deletion_auc
    from xplain.metrics.perturbation import insertion_auc as insertion_auc
    from xplain.metrics.perturbation import sufficiency as sufficiency
    from xplain.metrics.proxy import active_share as active_share
    from xplain.metrics.proxy import f1_gap as f1_gap
    from xplain.metrics.proxy import necessity as necessity
    from xplain.metrics.proxy import necessity_f1 as necessity_f1
    from xplain.metrics.proxy import proxy_fidelity as proxy_fidelity
    from xplain.metrics.proxy import reconstruction as reconstruction
    from xplain.metrics.proxy import relative_reconstruction_error as relative_reconstruction_error

_HOME_OF = {name: module for module, functions in METRICS.items() for name in functions}
_HOME_OF |= dict.fromkeys(("Evidence", "Metric", "Undefined"), "metric")

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'xplain.metrics' has no attribute {name!r}")
    return getattr(importlib.import_module(f"xplain.metrics.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
