"""One call of a script: prepared, placed, spoken by its caller, and laid out in time."""
