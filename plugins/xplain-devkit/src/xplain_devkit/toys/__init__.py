"""Test inputs: sounds, representations, networks, and evidence for metrics."""
