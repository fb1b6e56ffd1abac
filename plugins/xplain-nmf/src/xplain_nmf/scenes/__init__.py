"""Scenes mixed from clips."""
