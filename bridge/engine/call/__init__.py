"""The course of a call from its INVITE to its end, and the one door by which it closes."""
