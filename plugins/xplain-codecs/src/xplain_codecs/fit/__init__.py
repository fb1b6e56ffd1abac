"""Classifiers on a codec's latents, and their training."""
