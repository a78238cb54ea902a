"""Sample arithmetic: resampling, G.711, rings, levels, WAV. Pure."""
