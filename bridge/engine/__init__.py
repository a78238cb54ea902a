"""The call engine: turn machine, one core a call. No I/O."""
