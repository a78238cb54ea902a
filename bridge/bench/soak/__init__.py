"""The soak: callers who behave as callers do while everything around the gateway goes wrong."""
