"""The rules of each kind of plugin: one file per kind."""
