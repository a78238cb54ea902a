"""The benchmark: load, the way under test, its floor, the plain way, and what came of them."""
