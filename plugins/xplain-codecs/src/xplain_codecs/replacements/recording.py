"""A recording in place of "nothing here": a room without the event, another word, a hum."""

from __future__ import annotations

from torch import Tensor

from xplain import Clip, PluginError, Replacement
from xplain.audio import read, resample
from xplain.fingerprint import of_files


class Recording(Replacement):
    """The latents of a given recording, cut or repeated to the clip's length, at its own level."""

    depends_on_keep = False

    def __init__(self, file: str | None = None) -> None:
        """Take a recording that xplain.audio reads, at any rate; PluginError for none."""
        if not file:
            raise PluginError(
                "the replacement 'recording' stands for a sound of yours: give file= a recording"
            )
        self.file = file

    def fingerprint(self) -> str:
        """SHA-256 of the recording; AudioError where it cannot be read."""
        return of_files({"recording": read(self.file).waveform.numpy().tobytes()})

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """Latents (D, N) of the recording; AudioError where it cannot be read."""
        sound = resample(read(self.file), clip.synthesizer.sample_rate).waveform
        repeated = sound.repeat(-(-clip.samples // len(sound)))[: clip.samples]
        return clip.synthesizer.encode(repeated[None].to(latents)).values[0]
