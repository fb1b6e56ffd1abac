"""What this distribution registers; light, since discovery imports it."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_models(register: Register) -> None:
    """Register the scheme of proxies."""
    register("nmf", "xplain_nmf.loading:load", summary="An NMF proxy of a segmenter, by its folder")


@hookimpl
def register_synthesizers(register: Register) -> None:
    """Register a proxy's activations as a representation."""
    register(
        "nmf",
        "xplain_nmf.synthesizer:NmfSynthesizer",
        summary="Activations of an NMF proxy's dictionary, decoded by a soft mask",
    )


@hookimpl
def register_segmenters(register: Register) -> None:
    """Register proxies."""
    register(
        "nmf",
        "xplain_nmf.segmenter:NmfSegmenter",
        summary="An NMF proxy of a segmenter, which says which frequencies decided",
    )


@hookimpl
def register_explainers(register: Register) -> None:
    """Register the closed form."""
    register(
        "relevance",
        "xplain_nmf.relevance:Relevance",
        summary="θ · h in closed form, of models that are linear in their latents",
    )
