"""The agent's answer: asked for, made, played, transcribed and measured."""
