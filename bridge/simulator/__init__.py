"""A local Realtime server with real speech in and out."""
