"""Representations of audio that can be changed and heard, and what fills their gaps."""
