"""The model's tools: those of the bridge and its webhooks, and those that the service runs."""
