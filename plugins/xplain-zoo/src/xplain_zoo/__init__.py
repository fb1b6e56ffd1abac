"""Small trained models that run offline, and a clip of speech to try them on."""
