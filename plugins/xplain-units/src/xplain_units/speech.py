"""Words and phones, aligned by PocketSphinx, whose wheel has a model of American English."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xplain import Clip, Grouping, Groups, PluginError
from xplain.audio import resample_tensor
from xplain.validated import decode_json
from xplain_units.spans import Span, in_time

RATE = 16000
"""Hz, of what the acoustic model reads."""
STEP = 0.01
"""Seconds of a frame of PocketSphinx."""
PEAK = 0.7
"""Level that clips are brought to: the model was trained on speech at usual levels."""
MARGIN = 0.2
"""Seconds of silence put around a clip, since a cut word has no pause to begin after."""


class Words(Grouping):
    """One group for each word, over all channels, and ``pause`` for the rest.

    Aligned by force (Viterbi) to a transcript; without one, to what PocketSphinx recognises,
    which for anything but clear American English is often wrong.
    """

    def __init__(self, transcript: str | None = None, transcripts: str | None = None) -> None:
        """Align to ``transcript``, or to that of the clip's name in a JSON file of transcripts."""
        if transcript is not None and transcripts is not None:
            raise PluginError("give a transcript or a file of transcripts, not both")
        self.transcript = transcript
        self.transcripts = transcripts
        self._by_name: dict[str, str] = {}
        if transcripts is not None:
            self._by_name = decode_json(Path(transcripts).expanduser(), dict[str, str])

    def groups(self, clip: Clip) -> Groups:
        """Group the frames of each word."""
        return in_time(self._spans(clip), clip, "pause")

    def _spans(self, clip: Clip) -> list[Span]:
        return [(name, start, end) for name, start, end, _ in self._aligned(clip)]

    def _aligned(self, clip: Clip) -> list[tuple[str, float, float, list[Span]]]:
        """Words with their times and phones."""
        given = text = self._text(clip)
        heard = resample_tensor(clip.waveform[None], clip.synthesizer.sample_rate, RATE)[0]
        samples = heard.detach().cpu().numpy()
        samples = samples * (PEAK / max(float(np.abs(samples).max()), 1e-9))
        pcm = np.pad(np.round(samples * 32767).astype("<i2"), round(MARGIN * RATE)).tobytes()
        decoder = _decoder()
        if text is None:
            decoder.activate_search("recognise")
            _decode(decoder, pcm)
            hypothesis = decoder.hyp()
            text = "" if hypothesis is None else hypothesis.hypstr
            # Without pronunciations' numbers, read(2), and noises, [NOISE].
            text = re.sub(r"\(\d+\)|\[\w+\]|<\S+>", "", text).strip()
        if not text:
            return []
        self._check(text)
        decoder.set_align_text(text)
        _decode(decoder, pcm)
        if decoder.hyp() is None:
            if given is None:  # it heard a word where there is none
                return []
            raise PluginError(
                f"PocketSphinx cannot align {text!r} to {clip.name or 'the clip'}; give it what is "
                "said there, or align with another tool and use the grouping file"
            )
        decoder.set_alignment()
        _decode(decoder, pcm)
        found = []
        for word in decoder.get_alignment():
            if word.name.startswith(("<", "[")):
                continue
            phones = [(p.name, *_seconds(p)) for p in word if p.name != "SIL"]
            found.append((re.sub(r"\(\d+\)$", "", word.name), *_seconds(word), phones))
        return found

    def _text(self, clip: Clip) -> str | None:
        if self.transcripts is None:
            given = self.transcript
        elif clip.name in self._by_name:
            given = self._by_name[clip.name]
        else:
            raise PluginError(f"{self.transcripts} has no transcript of {clip.name!r}; add it")
        return None if given is None else " ".join(re.findall(r"[\w']+", given.lower()))

    def _check(self, text: str) -> None:
        unknown = [word for word in text.split() if _decoder().lookup_word(word) is None]
        if unknown:
            raise PluginError(
                f"PocketSphinx's dictionary has no {', '.join(map(repr, unknown))}; spell it as "
                "words that it has, or align with another tool and use the grouping file"
            )


class Phones(Words):
    """One group for each phone (ARPAbet) of the words, over all channels; ``pause`` for the rest.

    Aligned as Words are.
    """

    def _spans(self, clip: Clip) -> list[Span]:
        return [phone for *_, phones in self._aligned(clip) for phone in phones]


@cache
def _decoder() -> Any:
    """The decoder, which takes seconds to load; each utterance is normalised by itself."""
    try:
        from pocketsphinx import Decoder, get_model_path
    except ImportError as error:
        raise PluginError(
            "words and phones need PocketSphinx; run pip install 'xplain-units[words]'"
        ) from error
    # Its log goes to standard error, a screenful for each clip.
    decoder = Decoder(lm=None, loglevel="FATAL", samprate=RATE)
    decoder.add_lm_file("recognise", get_model_path("en-us/en-us.lm.bin"))
    return decoder


def _decode(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def _seconds(entry: Any) -> tuple[float, float]:
    """Start and end in the clip; the margin may have been taken for a part of the word."""
    start = entry.start * STEP - MARGIN
    return max(0.0, start), max(0.0, start + entry.duration * STEP)
