"""What this distribution registers; light, since discovery imports it."""

from collections.abc import Mapping

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1

METRICS: Mapping[str, Mapping[str, str]] = {
    "drops": {
        "average_increase": (
            "100 where the explanation alone is more probable than the clip, else 0."
        ),
        "average_drop": (
            "Percent of the label's probability that is lost when only the explanation is left."
        ),
        "average_gain": (
            "Percent of what the label's probability lacks that the explanation alone gains."
        ),
        "faithfulness": "How far the label's probability falls when the explanation is taken out.",
    },
    "agreement": {
        "input_fidelity": (
            "Whether the explained label is decided for when only the explanation is left."
        ),
        "fidelity": (
            "Whether the model's own prediction stays when only the top ρ of elements is kept."
        ),
        "removal": (
            "Whether the model's own prediction stays although the top ρ of elements is removed."
        ),
        "heard_fidelity": (
            "Whether the prediction stays when the top ρ alone is decoded and heard again."
        ),
        "heard_removal": (
            "Whether the prediction stays when all but the top ρ is decoded and heard again."
        ),
        "round_trip": (
            "Whether the prediction stays when the unchanged latents are decoded and heard again."
        ),
    },
    "curves": {
        "comprehensiveness": (
            "Mean fall of the label's probability over the ratios that are removed."
        ),
        "sufficiency": "Mean fall of the label's probability over the ratios that alone are kept.",
        "insertion_auc": (
            "Area under the label's probability while elements are put in, most important first."
        ),
        "deletion_auc": (
            "Area under the label's probability while elements are taken out, most important first."
        ),
    },
    "completeness": {
        "completeness_error": (
            "How far the attribution's sum is off the scores' difference, relative to that."
        ),
    },
    "concentration": {
        "sparseness": "Gini coefficient of the attribution's absolute values.",
        "complexity": "Entropy in nats of the attribution's absolute values, normalised to sum 1.",
    },
    "localisation": {
        "time_localisation_auc": (
            "How often a frame of the event has more attribution than one outside of it; ties half."
        ),
        "relevance_mass": "Share of the positive attribution that lies inside the region.",
        "pointing_game": "Whether the largest attribution lies inside the region.",
    },
    "model_randomisation": {
        "randomisation": (
            "Rank correlation of the attribution with those of randomised copies of the model."
        ),
    },
    "proxy": {
        "f1_gap": "F1 of the teacher minus F1 of the proxy, over frames of one label.",
        "proxy_fidelity": "Share of frames in which the proxy decides as the teacher does.",
        "necessity": (
            "Mean fall of the label's logit when the components called relevant are set to zero."
        ),
        "necessity_f1": (
            "Fall of the label's F1 when the components called relevant are set to zero."
        ),
        "reconstruction": "R² over the mean of each bin: 1 − ‖X − WH‖² / ‖X − X̄‖².",
        "relative_reconstruction_error": (
            "Squared error of the reconstruction relative to the spectrum: ‖X − WH‖² / ‖X‖²."
        ),
        "active_share": "Share of the activations H that are above 1e-8.",
    },
}
"""Each module's functions, and the first line of what they say."""


@hookimpl
def register_metrics(register: Register) -> None:
    """Register every metric that is a function of evidence alone."""
    for module, functions in METRICS.items():
        for function, summary in functions.items():
            name = function.replace("_", "-")
            register(name, f"xplain_evaluation.metrics.{module}:{function}", summary=summary)


@hookimpl
def register_models(register: Register) -> None:
    """Register the model that hears planted cues."""
    register(
        "planted",
        "xplain_evaluation.planted.planted:load",
        summary="Hears a planted cue and nothing else: planted:SAMPLE_RATE, or planted:",
    )
