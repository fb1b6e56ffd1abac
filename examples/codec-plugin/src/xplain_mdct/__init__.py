"""What this distribution registers; xplain imports it to list plugins, so torch stays out."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_synthesizers(register: Register) -> None:
    """Register the synthesizer."""
    register(
        "mdct",
        "xplain_mdct.synthesizer:Mdct",
        summary="The modified discrete cosine transform (Princen et al. 1987)",
    )
