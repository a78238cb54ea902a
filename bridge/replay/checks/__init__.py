"""The checks of a played call and its verdict: by step, at its end, and those of every call."""
