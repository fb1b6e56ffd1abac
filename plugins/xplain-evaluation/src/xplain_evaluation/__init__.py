"""Metrics, sanity checks, planted cues and benchmarks of explanations."""
