"""From frames to segments: recordings in windows, decisions, segments, files, evidence."""
