"""The simple classifier that a head is compared with: means and deviations of the same latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from recordings import Recording, recordings
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import xplain
from xplain.audio import read, resample

FOLDS = 6
CANDIDATES = {
    "logistic regression": (
        LogisticRegression(max_iter=3000),
        {"logisticregression__C": [0.001, 0.003, 0.01, 0.03, 0.1, 1, 10]},
    ),
    "support vectors": (
        SVC(),
        {"svc__C": [0.3, 1, 3, 10, 30], "svc__gamma": ["scale", 0.001, 0.003, 0.01]},
    ),
}


@dataclass(frozen=True)
class Baseline:
    """The best of CANDIDATES by cross-validation over training speakers, and what it reaches."""

    name: str
    validated: float
    accuracy: float
    clips: int


def simple_baseline(dataset: str, synthesizer: xplain.Synthesizer) -> Baseline:
    """Fit it on the training clips of a data set, and measure it on all test clips."""
    train, test = recordings(dataset, "train"), recordings(dataset, "test")
    inputs, asked = _pooled(train, synthesizer), _pooled(test, synthesizer)
    speakers = [clip.speaker for clip in train]
    folds = GroupKFold(min(FOLDS, len(set(speakers))))
    best: Baseline | None = None
    for name, (classifier, grid) in CANDIDATES.items():
        search = GridSearchCV(make_pipeline(StandardScaler(), classifier), grid, cv=folds)
        search.fit(inputs, [clip.label for clip in train], groups=speakers)
        if best is None or search.best_score_ > best.validated:
            accuracy = float(search.score(asked, [clip.label for clip in test]))
            best = Baseline(name, float(search.best_score_), accuracy, len(test))
    assert best is not None
    return best


@torch.no_grad()
def _pooled(clips: Sequence[Recording], synthesizer: xplain.Synthesizer) -> np.ndarray:
    """Mean and standard deviation of each channel over time: (clips, 2 D)."""
    rows = []
    for clip in clips:
        waveform = resample(read(clip.path), synthesizer.sample_rate).waveform
        values = synthesizer.encode(waveform[None]).values[0]
        rows.append(torch.cat([values.mean(1), values.std(1)]).numpy())
    return np.stack(rows)
