"""The call engine: one core for each call, its turn machine, a folder for each subject. No I/O."""
