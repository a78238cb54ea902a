"""Watches over a running node: clocks, disks, trunks, models and certificates that end, counts."""
