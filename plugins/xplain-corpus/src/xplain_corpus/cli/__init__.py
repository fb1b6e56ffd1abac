"""The command ``xplain corpus``."""
