"""Dialplans: which agent answers which call."""
