"""SIP's texts: what a message's bytes say, and the addresses in them. Pure, without state."""
