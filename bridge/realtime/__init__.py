"""The Realtime API, dialect-free, and the dialects that speak it."""
