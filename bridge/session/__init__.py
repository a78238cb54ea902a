"""One WebSocket connection to a Realtime endpoint."""
