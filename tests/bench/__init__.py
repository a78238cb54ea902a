"""Benchmarks: scripts that measure a stated claim."""
