"""A run of `bridge replay`: the order of its calls, their costs, and each one played and judged."""
