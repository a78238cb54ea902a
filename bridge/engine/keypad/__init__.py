"""The caller's keys: who takes each, the menus, the digits collected and kept secret."""
