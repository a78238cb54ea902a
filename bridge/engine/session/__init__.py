"""The Realtime session under a call: lost and had again, changed unheard, probed, given up."""
