"""The rollout flag: which arm a call gets, and what the calls say about the arms. Pure."""
