"""Rollouts of one node: the state in force, the leader's automatic decisions, copies on disk."""
