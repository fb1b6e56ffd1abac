"""What this distribution registers; light, since discovery imports it."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_adapters(register: Register) -> None:
    """Register what is made of transformers' own objects."""
    register(
        "transformers",
        "xplain_hf.objects:adopt",
        summary="A pipeline, or a pair (model, processor), of Hugging Face transformers",
    )


@hookimpl
def register_models(register: Register) -> None:
    """Register the scheme of Hugging Face's repositories and folders."""
    register(
        "hf",
        "xplain_hf.models:load",
        summary="An audio model by repository or folder of Hugging Face transformers",
    )
