"""Audio classifiers of Hugging Face, by repository or folder, as models for xplain."""
