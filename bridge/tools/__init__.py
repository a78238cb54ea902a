"""Tools that the model calls and the bridge runs over the network."""
