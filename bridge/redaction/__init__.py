"""Redacts transcripts before they are written anywhere."""
