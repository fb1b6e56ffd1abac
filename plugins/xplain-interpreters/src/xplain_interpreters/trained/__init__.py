"""Explainers that are trained on a model's hidden layers: L-MAC and Listen to Interpret."""
