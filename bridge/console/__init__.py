"""The HTTP port: the supervisors' console and its API, metrics, liveness and readiness."""
