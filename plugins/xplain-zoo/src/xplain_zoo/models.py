"""The models of the zoo, by name."""

from __future__ import annotations

from typing import Any

from xplain_zoo.digits import DigitClassifier

MODELS = ("digits", "radio-teacher")


def load(name: str) -> Any:
    """The model that stands behind ``zoo:NAME``, wrapped for xplain.

    Raises ModelError for a name that the zoo does not have.
    """
    # Late, so that the network can be trained and used without the framework.
    import xplain
    from xplain.errors import ModelError, nearest

    if name not in MODELS:
        raise ModelError(f"zoo:{name} does not exist; {nearest(name, MODELS)}")
    if name == "radio-teacher":
        from xplain_zoo.radio_teacher import radio_teacher

        return radio_teacher()
    module = DigitClassifier.from_folder()
    config = module.config
    return xplain.wrap(
        module, sample_rate=config.sample_rate, labels=config.labels, name=f"zoo:{name}"
    )
