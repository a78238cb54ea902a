"""A live call's way to its Realtime service: connections, models in order, the spare, recovery."""
