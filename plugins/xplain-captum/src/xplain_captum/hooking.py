"""Captum's hooks and attributes on a caller's layers: put up quietly, and taken down again."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Captum's announcements that it sets hooks from the caller."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Setting (forward, )?backward hooks")
        yield


@contextmanager
def attributes_restored(module: nn.Module) -> Iterator[None]:
    """Remove what is set on the parts of a module meanwhile.

    Captum leaves tensors of its last run on layers (LRP always, DeepLIFT after an error): the
    caller's model would hold on to their memory, and would not be as it was.
    """
    before = [(part, set(vars(part))) for part in module.modules()]
    try:
        yield
    finally:
        for part, names in before:
            for name in set(vars(part)) - names:
                delattr(part, name)
