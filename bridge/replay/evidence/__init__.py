"""The evidence of a played call: of the phone, the gateway, Redis and the tool mocks."""
