"""Explainers that answer with more than a map; see the entry point module, plugin."""
