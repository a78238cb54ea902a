"""The capacity build of PJSIP: fetched, compiled, packed as a wheel, kept, and installed.

Python's standard library only, for it runs before anything is installed.
"""
