"""The files of calls that are over: their owners, their retention, their deletion."""
