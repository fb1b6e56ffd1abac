"""Sparse NMF dictionaries."""
