"""Access to the console: users, sessions, roles, tokens and limits on tries."""
