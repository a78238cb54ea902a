"""Live calls: binds leg, session and store to a call's core."""
