"""What this distribution registers; light, since discovery imports it."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1

EXPLAINERS = (
    ("rise", "rise:Rise", "Mean of random masks by the score they leave (Petsiuk et al. 2018)"),
)


@hookimpl
def register_explainers(register: Register) -> None:
    """Register the explainers."""
    for name, target, summary in EXPLAINERS:
        register(name, f"xplain_interpreters.{target}", summary=summary)
