"""GPT-Live as the local server speaks it: full duplex, one timeline (`PROTOCOL.md` section 11)."""
