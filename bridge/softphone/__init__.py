"""A caller: a SIP phone that speaks, listens and records."""
