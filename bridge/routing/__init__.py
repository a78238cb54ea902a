"""Dialplans: the rules by which calls get their agents."""
