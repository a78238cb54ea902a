"""Tests of :mod:`bridge.audio`."""
