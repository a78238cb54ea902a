"""The judge: a text model's answers about a conversation, counted only with quotes from it."""
