"""What holds for every test."""

from hypothesis import settings

# Speed is measured in tests/bench; a busy machine must not turn a test red.
settings.register_profile("bridge", deadline=None)
settings.load_profile("bridge")
