"""Recorded calls made into call scripts."""
