"""What this distribution registers; light, since discovery imports it."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_explainers(register: Register) -> None:
    """Register the gradient methods."""
    register(
        "integrated-gradients",
        "xplain_captum.gradients:IntegratedGradients",
        summary="Path integral of gradients (Sundararajan et al. 2017)",
    )
    register(
        "saliency",
        "xplain_captum.gradients:Saliency",
        summary="Absolute value of the gradient (Simonyan et al. 2014)",
    )
