"""Sanity checks of a method on a model; see checks."""

from xplain_evaluation.sanity.checks import (
    Finding,
    alone_among_others,
    examine,
    label_randomisation,
    parameter_randomisation,
    planted_cue,
    random_control,
    round_trip,
    seed_agreement,
)
from xplain_evaluation.sanity.randomisation import cascade, randomised

__all__ = [
    "Finding",
    "alone_among_others",
    "cascade",
    "examine",
    "label_randomisation",
    "parameter_randomisation",
    "planted_cue",
    "random_control",
    "randomised",
    "round_trip",
    "seed_agreement",
]
