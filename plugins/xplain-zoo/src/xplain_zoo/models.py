"""The models of the zoo, by name."""

from __future__ import annotations

from typing import Any

from xplain_zoo.digits import WEIGHTS, DigitClassifier

MODELS = ("digits", "digits-latent", "radio", "radio-teacher")


def load(name: str) -> Any:
    """The model that stands behind ``zoo:NAME``, wrapped for xplain, or a reference to it.

    Raises ModelError for a name that the zoo does not have, and for a model whose plugin is not
    installed.
    """
    # Late, so that the network can be trained and used without the framework.
    import xplain
    from xplain.errors import ModelError, nearest

    if name not in MODELS:
        raise ModelError(f"zoo:{name} does not exist; {nearest(name, MODELS)}")
    if name == "digits-latent":
        return reference(name, "latent", "xplain-codecs")
    if name == "radio":
        return reference(name, "nmf", "xplain-nmf")
    if name == "radio-teacher":
        from xplain_zoo.radio_teacher import radio_teacher

        return radio_teacher()
    module = DigitClassifier.from_folder()
    config = module.config
    return xplain.wrap(
        module, sample_rate=config.sample_rate, labels=config.labels, name=f"zoo:{name}"
    )


def reference(name: str, scheme: str, plugin: str) -> str:
    """What leads to weights of the zoo that another plugin reads; ModelError where it is absent."""
    from xplain.errors import ModelError, PluginError
    from xplain.registry import registry

    try:
        registry().find("model", scheme)
    except PluginError as error:
        raise ModelError(
            f"zoo:{name} needs the plugin {plugin}, which reads its weights: pip install {plugin}"
        ) from error
    return f"{scheme}:{WEIGHTS.parent / name}"
