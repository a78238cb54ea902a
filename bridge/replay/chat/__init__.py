"""Text models behind OpenAI-compatible URLs: the client, and the stand-in that CI asks."""
