"""The evidence of a played call: gathered from the phone, the gateway, Redis and the tool mocks."""
