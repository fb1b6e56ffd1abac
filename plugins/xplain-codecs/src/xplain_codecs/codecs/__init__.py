"""Codecs and transforms: audio to latents and back."""
