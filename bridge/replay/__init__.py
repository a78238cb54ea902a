"""Call scripts and their runner: each call is placed, its evidence gathered, checked and reported.

From a script to a report: ``script`` (the YAML), ``importing`` (scripts of recorded calls),
``environment`` (the processes that answer), ``call`` and ``persona`` with ``chat`` (the caller),
``evidence``, ``checks`` with ``judges``, ``results``, ``runs`` (all of it in order), ``report``.
"""
