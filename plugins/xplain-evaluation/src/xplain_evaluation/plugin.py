"""Registration of this distribution; imports no torch, since discovery loads it."""

import ast
from collections.abc import Mapping
from pathlib import Path

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1

METRICS: Mapping[str, str] = {
    "drops": "average_increase average_drop average_gain faithfulness",
    "agreement": "input_fidelity fidelity removal reencoded_fidelity reencoded_removal round_trip",
    "curves": "comprehensiveness sufficiency insertion_auc deletion_auc",
    "completeness": "completeness_error",
    "concentration": "sparseness complexity",
    "localisation": "time_localisation_auc relevance_mass pointing_game",
    "model_randomisation": "randomisation",
    "proxy": "f1_gap proxy_fidelity necessity necessity_f1 reconstruction "
    "relative_reconstruction_error active_share",
}
"""Each module of xplain_evaluation.metrics, and the metrics in it."""


@hookimpl
def register_metrics(register: Register) -> None:
    """Register every metric, its docstring's first line as its summary."""
    for module, functions in METRICS.items():
        # Read and not imported, since a metric's module loads torch.
        source = Path(__file__).with_name("metrics") / f"{module}.py"
        definitions = ast.parse(source.read_text("utf-8")).body
        docstrings = {
            d.name: ast.get_docstring(d) or ""
            for d in definitions
            if isinstance(d, ast.FunctionDef)
        }
        for function in functions.split():
            register(
                function.replace("_", "-"),
                f"xplain_evaluation.metrics.{module}:{function}",
                summary=docstrings[function].partition("\n")[0],
            )


@hookimpl
def register_models(register: Register) -> None:
    """Register the model that detects planted cues."""
    register(
        "planted",
        "xplain_evaluation.planted.planted:load",
        summary="Detects planted cues and nothing else: planted:SAMPLE_RATE, or planted:",
    )
