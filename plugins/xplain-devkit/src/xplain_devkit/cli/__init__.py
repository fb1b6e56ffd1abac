"""The commands ``xplain plugins check`` and ``xplain plugins new``."""
