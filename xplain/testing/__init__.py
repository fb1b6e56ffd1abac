"""What a plugin is tested with: the contracts it must pass, and audio with a planted cue."""
