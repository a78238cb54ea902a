"""A caller made up during the call: a text model speaks as a persona."""
