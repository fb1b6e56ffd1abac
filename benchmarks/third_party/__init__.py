"""Models that nobody here trained, rebuilt as torch modules, and what explanations of them do.

The weights are public and not part of the project; ../shared/models/third-party/README.md says
where each comes from. All take waveforms (B, samples) at 16 kHz.
"""
