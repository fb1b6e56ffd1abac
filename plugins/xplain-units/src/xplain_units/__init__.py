"""Units that people think in, as groups of elements: words, events, stems and others."""
