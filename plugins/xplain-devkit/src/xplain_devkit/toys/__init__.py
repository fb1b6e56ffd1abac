"""What subjects are tried on: sounds, representations, networks, and evidence for metrics."""
