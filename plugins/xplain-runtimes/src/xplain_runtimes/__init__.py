"""Models that other runtimes and libraries run."""
