"""What this distribution registers; xplain imports it to list plugins, so torch stays out."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_explainers(register: Register) -> None:
    """Register the explainer."""
    register(
        "gradient-difference",
        "xplain_gradient_difference.explainer:GradientDifference",
        summary="Gradient times the distance from the baseline",
    )
