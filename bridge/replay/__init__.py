"""Call scripts and their runner."""
