"""``zoo:radio-teacher``: the radio segmenter as xplain takes it."""

from __future__ import annotations

from dataclasses import replace

import xplain
from xplain.adapters import ModelSegmenter
from xplain_zoo.radio import RadioSegmenter


def radio_teacher() -> xplain.Model:
    """The shipped segmenter, whose windows leave no seam and whose decisions were chosen."""
    module = RadioSegmenter.from_folder()
    config = module.config
    model = xplain.wrap(
        module,
        sample_rate=config.sample_rate,
        labels=config.labels,
        multilabel=True,
        frame_step=config.frame_step,
        name="zoo:radio-teacher",
    )
    segmenter = ModelSegmenter(model)
    segmenter.context = config.context
    segmenter.thresholds = dict(zip(config.labels, config.thresholds, strict=True))
    return replace(model, segmenter=segmenter)
