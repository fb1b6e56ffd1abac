"""A new plugin's package, written from templates."""
