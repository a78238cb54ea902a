"""Supervisors in a live call: their orders, their listening, their microphones and desk phones."""
