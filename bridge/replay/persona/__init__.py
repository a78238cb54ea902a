"""The caller who is made up while the call goes on: a text model speaks as a persona."""
