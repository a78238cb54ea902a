"""Parses SIP messages and the addresses in them. Pure, without state."""
