"""What decides for a label over a corpus."""
