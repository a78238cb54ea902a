"""Traces of calls by OpenTelemetry; imported only where settings name a collector."""
