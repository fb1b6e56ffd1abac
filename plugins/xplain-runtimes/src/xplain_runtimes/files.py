"""The schemes ``onnx:`` and ``tflite:``: a model in a file, run as it is, without gradients.

``onnx:FILE?rate=16000&labels=cat,dog`` gives after the file what it does not say; see the README.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from xplain import Model, ModelError, wrap
from xplain.errors import nearest, one_line

Array = npt.NDArray[Any]
NUMBERS = {"rate": int, "frame_step": float, "tolerance": float, "window": int, "before": int}
KNOWN = (*NUMBERS, "labels", "task", "unit", "output", "answer")


def onnx(rest: str) -> Model:
    """Load ``FILE?rate=…``; ModelError for what cannot be read or asked."""
    path, given = _parsed("onnx", rest)
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"onnx:{rest} needs onnxruntime; pip install onnxruntime") from error
    try:
        # One thread: the batch is the variants, and answers do not depend on their number.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ModelError(f"onnx:{path} is no ONNX model: {one_line(error)}") from error
    sound, *others = session.get_inputs()
    answers = [output.name for output in session.get_outputs()]
    answer = given.pop("answer", answers[0])
    if answer not in answers:
        raise ModelError(f"onnx:{path} gives no {answer!r}; {nearest(answer, answers)}")
    window, before = given.pop("window", None), given.pop("before", 0)
    if others and window is None:
        raise ModelError(
            f"onnx:{path} takes {', '.join(i.name for i in others)} beside the sound; where that "
            "is a state, give the samples of a window: ?window=512"
        )
    states = {}
    for put in others:
        numbers = [size if isinstance(size, int) else None for size in put.shape]
        kept = [o for o in session.get_outputs() if o.name.startswith(put.name)]
        if kept:
            states[put.name] = (kept[0].name, numbers)
    rated = [put.name for put in others if put.name not in states]
    if len(rated) > 1 or any(put.type != "tensor(int64)" for put in others if put.name in rated):
        raise ModelError(f"onnx:{path} takes {', '.join(rated)}, which is neither state nor rate")
    module: nn.Module
    if window is None:
        fixed = sound.shape[-1] if isinstance(sound.shape[-1], int) else None
        module = Run(lambda x: session.run([answer], {sound.name: x})[0], len(sound.shape), fixed)
    else:
        module = Stream(session, sound.name, answer, states, rated, given["rate"], window, before)
        given["frame_step"] = window / given["rate"]
    return _wrapped(module, given, f"onnx:{path}")


def tflite(rest: str) -> Model:
    """Load ``FILE?rate=…``; ModelError for what cannot be read or asked."""
    path, given = _parsed("tflite", rest)
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ModelError(f"tflite:{rest} needs ai-edge-litert; pip install it") from error
    try:
        interpreter = Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
    except Exception as error:
        raise ModelError(f"tflite:{path} is no TFLite model: {one_line(error)}") from error
    (sound,), answers = interpreter.get_input_details(), interpreter.get_output_details()
    names = [a["name"] for a in answers]
    answer = given.pop("answer", names[0])
    if answer not in names:
        raise ModelError(f"tflite:{path} gives no {answer!r}; {nearest(answer, names)}")
    place = answers[names.index(answer)]["index"]
    free = int(sound["shape_signature"][-1]) == -1
    rank = len(sound["shape"])

    def run(waveforms: Array) -> Array:
        rows = []
        for row in waveforms:  # since a file is made for one clip
            if free:
                interpreter.resize_tensor_input(sound["index"], [1] * (rank - 1) + [row.shape[-1]])
                interpreter.allocate_tensors()
            shape = interpreter.get_input_details()[0]["shape"]
            interpreter.set_tensor(sound["index"], row.reshape(shape))
            interpreter.invoke()
            rows.append(np.array(interpreter.get_tensor(place)).reshape(1, -1))
        return np.concatenate(rows)

    return _wrapped(
        Run(run, rank, None if free else int(sound["shape"][-1])), given, f"tflite:{path}"
    )


class Run(nn.Module):
    """What a runtime runs: waveforms (batch, samples) → what it answers.

    fixed: the samples that it takes, where their number is fixed: a shorter clip is repeated.
    """

    def __init__(self, run: Any, rank: int, fixed: int | None) -> None:
        """Keep what runs, and the number of axes of its input."""
        super().__init__()
        self._run, self.rank, self.fixed = run, rank, fixed

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → (batch, labels), or (batch, frames, labels)."""
        sound = waveform.detach().cpu().numpy().astype(np.float32)
        if self.fixed is not None:
            times = -(-self.fixed // sound.shape[1])
            sound = np.tile(sound, (1, times))[:, : self.fixed]
        if self.rank == 3:
            sound = sound[:, None]
        elif self.rank == 1:
            return torch.from_numpy(
                np.stack([np.asarray(self._run(row)).reshape(-1) for row in sound])
            ).to(waveform.device)
        return torch.from_numpy(np.array(self._run(sound))).to(waveform.device)


class Stream(nn.Module):
    """A recurrent model that takes a window and its state at a time."""

    def __init__(
        self,
        session: Any,
        sound: str,
        answer: str,
        states: Mapping[str, tuple[str, list[int | None]]],
        rated: list[str],
        rate: int,
        window: int,
        before: int,
    ) -> None:
        """Keep what runs, and how its inputs and outputs are called."""
        super().__init__()
        self._session, self.sound, self.answer = session, sound, answer
        self.states, self.window, self.before = states, window, before
        self.constant = {name: np.array(rate, dtype=np.int64) for name in rated}

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → (batch, windows, labels)."""
        sound = waveform.detach().cpu().numpy().astype(np.float32)
        sound = np.pad(sound, ((0, 0), (self.before, -sound.shape[1] % self.window)))
        kept = {
            name: np.zeros([len(sound) if size is None else size for size in shape], np.float32)
            for name, (_, shape) in self.states.items()
        }
        wanted, said = [self.answer, *(given for given, _ in self.states.values())], []
        for start in range(0, sound.shape[1] - self.before, self.window):
            heard = sound[:, start : start + self.before + self.window]
            one, *next_ones = self._session.run(
                wanted, {self.sound: heard, **kept, **self.constant}
            )
            kept = dict(zip(self.states, next_ones, strict=True))
            said.append(one.reshape(len(sound), -1))
        return torch.from_numpy(np.stack(said, axis=1)).to(waveform.device)


def _parsed(scheme: str, rest: str) -> tuple[Path, dict[str, Any]]:
    """The file, and what was said of it."""
    name, _, query = rest.partition("?")
    path = Path(name).expanduser()
    if not path.is_file():
        raise ModelError(f"{scheme}:{name}: no such file; give the path of a model's file")
    given: dict[str, Any] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key not in KNOWN:
            raise ModelError(f"{scheme}:{name} has no setting {key!r}; {nearest(key, KNOWN)}")
        try:
            given[key] = NUMBERS[key](text) if key in NUMBERS else text
        except ValueError:
            raise ModelError(f"{scheme}:{name}: {key} is a number, not {text!r}") from None
    if "rate" not in given:
        raise ModelError(
            f"{scheme}:{name} does not say the sample rate it was made for; give it: "
            f"{scheme}:{name}?rate=16000"
        )
    return path, given


def _wrapped(module: nn.Module, given: dict[str, Any], name: str) -> Model:
    """Wrap it; where no labels were given, they are numbers."""
    rate = given.pop("rate")
    labels = [text.strip() for text in given.pop("labels", "").split(",") if text.strip()]
    if given.get("task") != "embedding" and not labels:
        with torch.no_grad():
            answer = module(torch.zeros(1, rate))
        labels = [str(n) for n in range(answer.shape[-1])]
        if len(labels) == 1 and "unit" in given:
            labels = [given["unit"]]
    if len(labels) == 1 and "task" not in given:
        given["task"] = "multilabel"
    return wrap(module, sample_rate=rate, labels=labels, differentiable=False, name=name, **given)
