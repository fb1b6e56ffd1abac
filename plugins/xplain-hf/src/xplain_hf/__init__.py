"""Audio models of Hugging Face, by repository, folder or object, as models for xplain."""
