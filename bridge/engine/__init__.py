"""The call engine: turn machine, interruption ledger, one core a call. No I/O."""
