"""The demo: a call from end to end, or a live contact centre, out of processes like everybody's."""
