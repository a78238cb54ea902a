"""The files of calls that are over: whose they are, how long they are kept, how they go."""
