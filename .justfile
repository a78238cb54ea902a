# `just` lists these; each is one line of README, .ci/run or the handbook, under a name.
bin := justfile_directory() / ".venv/bin"
export PATH := bin + ":" + env("PATH")

# What can be done here
default:
    @just --list --justfile "{{ justfile() }}"

# The environment
setup:
    python3 -m venv .venv
    .venv/bin/pip install -q -c deploy/constraints.txt -e '.[dev]'

# Lint, format, types, floors
lint:
    ruff check .
    ruff format --check .
    mypy
    lint-imports

# Some tests, one at a time: just test tests/engine/test_turns.py
test *what:
    pytest -n 0 {{ what }}

# README's tests
tests:
    pytest -n 3 --dist loadfile
    pytest -m timed

# What CI does, from an environment of its own
ci:
    .ci/run

# A call from end to end
demo *options:
    bridge demo {{ options }}

# The capacity build of PJSIP, in the pip wheel's place
capacity:
    python deploy/pjsip/build
    bridge pjsip

# Everything that is written from the code
generate:
    python -m tests.docs.settings_page > deploy/handbook/CONFIGURATION.md
    python -m bridge check --event-map > deploy/EVENT_MAP.md
    bridge check --schema > dialplans/dialplan.schema.json
    bridge check --schema callscript > call_scripts/callscript.schema.json
