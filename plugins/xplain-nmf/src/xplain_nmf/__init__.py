"""Explainable NMF proxies of audio segmenters."""
