"""Tests of :mod:`bridge.telephony`."""
