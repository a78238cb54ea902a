"""The caller's keys: their takers, the menus, the digits that are collected and kept secret."""
