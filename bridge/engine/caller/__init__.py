"""The caller's turn: their sounds, words and silence, and the interruption of the agent."""
