"""Call state in Redis."""
