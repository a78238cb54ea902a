"""Settings and the YAML reading that errors can point into."""
