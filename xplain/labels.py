"""What a model's answers are called: labels, values, or the text of tokens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from xplain.errors import ModelError, nearest
from xplain.targets import TASKS, TEXT, Task


def checked_task(task: Task, multilabel: bool, name: str) -> Task:
    """The task that is meant; ModelError where there is none such."""
    if task not in TASKS:
        raise ModelError(f"{name}: there is no task {task!r}; {nearest(str(task), TASKS)}")
    if multilabel and task not in ("classification", "multilabel"):
        raise ModelError(f"{name}: a model for {task} has no labels that are independent")
    return "multilabel" if multilabel else task


def named_answers(labels: object, task: Task, unit: str | None, name: str) -> tuple[str, ...]:
    """One name per logit, value or token; those of tokens need not differ."""
    if task == "embedding":
        return ()
    if isinstance(labels, str):  # which is iterable, by its letters
        raise ModelError(
            f"{name}: labels are a list with one name per logit, not the one text {labels!r}; "
            f"give {[part for part in re.split(r'[,;|]+ *| +', labels) if part]}"
        )
    if isinstance(labels, Mapping):
        labels = _in_order(labels, name)
    if task == "regression" and isinstance(labels, tuple) and not labels:
        return (unit or "value",)
    if task not in TEXT:
        return _names(labels, name)
    texts = tuple(str(label) for label in cast(Iterable[object], labels))
    if task == "ctc" and "" not in texts:
        raise ModelError(f"{name}: a CTC has a blank, whose label is the empty text; name it so")
    return texts


def _names(labels: object, model: str) -> tuple[str, ...]:
    """Labels in the order of the logits; ModelError where that is not clear."""
    if isinstance(labels, set | frozenset | bytes) or not isinstance(labels, Iterable):
        raise ModelError(
            f"{model}: labels are a list with one name per logit, in the order of the logits, "
            f"not a {type(labels).__name__}"
        )
    names = list(labels)
    for label in names:
        if not isinstance(label, str | int | np.integer):
            raise ModelError(f"{model}: a label is a text, not {label!r}; give one for each logit")
    names = [str(label) for label in names]
    twice = [label for label, count in Counter(names).items() if count > 1]
    if not names or twice:
        which = f"; {', '.join(map(repr, twice))} stands there more than once" if twice else ""
        raise ModelError(f"{model}: labels need one name per logit, each only once{which}")
    return tuple(names)


def _in_order(labels: Mapping[Any, Any], model: str) -> list[object]:
    """The labels of id2label, with numbers as int or text, or of label2id."""
    pairs = list(labels.items())
    if pairs and all(isinstance(v, int) and not str(k).isdecimal() for k, v in pairs):
        pairs = [(index, label) for label, index in pairs]
    numbered = {int(k): v for k, v in pairs if str(k).isdecimal()}
    if len(numbered) != len(pairs) or sorted(numbered) != list(range(len(pairs))):
        raise ModelError(
            f"{model}: labels as a mapping give a name for each of 0 to {len(pairs) - 1}, and this "
            f"one is of {', '.join(repr(key) for key in labels) or 'nothing'}; give a list"
        )
    return [numbered[index] for index in range(len(numbered))]
