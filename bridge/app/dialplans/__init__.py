"""Dialplans in force: routes and arms made from them, and their replacement while calls go on."""
