"""A run of `bridge replay`: its calls in order, each placed, its evidence gathered, and judged."""
