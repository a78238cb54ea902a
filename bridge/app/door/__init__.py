"""The door of a gateway: each INVITE gets a dialplan's route and a runner, or is refused."""
