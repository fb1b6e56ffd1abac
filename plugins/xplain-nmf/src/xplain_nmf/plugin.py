"""What this distribution registers; light, since discovery imports it."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_models(register: Register) -> None:
    """Register the scheme of proxies."""
    register("nmf", "xplain_nmf.loading:load", summary="An NMF proxy of a segmenter, by its folder")
