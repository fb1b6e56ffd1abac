import torch

from xplain import Clip, Grouping, Groups, PluginError


class Octaves(Grouping):
    """One group for each octave above ``lowest`` Hz, and one for what is below."""

    def __init__(self, lowest: float = 125.0) -> None:
        if lowest <= 0:
            raise ValueError(f"an octave begins over 0 Hz, not at {lowest:g}")
        self.lowest = lowest  # under the parameter's name, so that it is saved

    def groups(self, clip: Clip) -> Groups:
        """Number each channel by its octave; a channel's frames belong together."""
        if clip.frequencies is None:
            raise PluginError("octaves need channels that are frequencies; choose stft")
        hertz = torch.tensor(clip.frequencies)
        octave = (hertz.clamp(min=1e-6) / self.lowest).log2().floor().long().clamp(min=-1)
        # Numbers without gaps, each with a name.
        found, numbers = octave.unique(return_inverse=True)
        names = tuple(self._name(number) for number in found.tolist())
        return Groups(numbers[:, None].expand(clip.shape).contiguous(), names)

    def _name(self, octave: int) -> str:
        if octave < 0:
            return f"below {self.lowest:g} Hz"
        return f"{self.lowest * 2**octave:g}–{self.lowest * 2 ** (octave + 1):g} Hz"
