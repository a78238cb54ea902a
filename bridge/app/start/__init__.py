"""A gateway's start: its addresses, the calls that it can promise, checks before the first one."""
