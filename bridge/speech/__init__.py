"""Speech engines: text to speech and speech to text, in this process, from wheels."""
