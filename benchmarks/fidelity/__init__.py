"""The parts of latent_fidelity.py."""
