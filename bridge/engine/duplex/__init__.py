"""A full-duplex service: its voice, the caller's turns and its backend, as they are found here."""
