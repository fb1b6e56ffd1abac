"""Audio with a planted cue, and a model that reacts to nothing else."""
