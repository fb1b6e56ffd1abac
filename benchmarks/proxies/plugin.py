"""What the benchmarks register where they are installed: models that nobody here trained."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_models(register: Register) -> None:
    """Register their scheme."""
    register("third-party", "proxies.teachers:load", summary="Models of others, of ../shared")
