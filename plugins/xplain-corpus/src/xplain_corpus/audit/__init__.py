"""What does a model listen to? Shortcuts of a corpus, and their proof."""
