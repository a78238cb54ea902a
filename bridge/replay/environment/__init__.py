"""The processes that answer a script's calls on one arm: started, set for each call, watched."""
