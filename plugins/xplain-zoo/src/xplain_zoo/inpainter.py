"""The zoo's in-painter, which the plugin xplain-codecs reads."""

from __future__ import annotations

from typing import Any

from xplain.errors import PluginError
from xplain.registry import registry
from xplain_zoo.digits import WEIGHTS

READER = "xplain-codecs/inpainter"


def inpainter(folder: str = "", draws: int = 4, rounds: int = 4) -> Any:
    """The replacement ``inpainter`` with the zoo's weights.

    folder: another one. draws, rounds: see there. Raises PluginError where xplain-codecs is absent.
    """
    place = folder or str(WEIGHTS.parent / "inpainter")
    try:
        registry().find("replacement", READER)
    except PluginError as error:
        raise PluginError(
            "zoo-inpainter needs the plugin xplain-codecs, which reads its weights: "
            "pip install xplain-codecs"
        ) from error
    return registry().create(
        "replacement", READER, {"folder": place, "draws": draws, "rounds": rounds}
    )
