"""Wiring: the gateway, the demo."""
