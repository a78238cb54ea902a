"""Records of a live call: everything noted of it for Redis, its summary, metrics and logs."""
