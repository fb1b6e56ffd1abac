"""Training of a proxy on a teacher's answers."""
