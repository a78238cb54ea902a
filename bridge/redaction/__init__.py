"""Redaction of what was said, before it is written anywhere."""
