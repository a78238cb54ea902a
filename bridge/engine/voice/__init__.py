"""The bridge's own voice: its phrases, and the tones and words that fill the caller's wait."""
