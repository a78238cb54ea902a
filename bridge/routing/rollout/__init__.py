"""Rollouts: the draw of an arm for each call, and the verdict on a new arm. Pure."""
