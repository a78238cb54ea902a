"""A local Realtime server with real speech in and out.

Published clients hold conversations with it in `tests/clients`.
"""
