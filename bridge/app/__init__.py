"""Wiring: the gateway."""
