"""Processes of ours beside this one: `bridge` commands as children, HTTP, resource usage."""
