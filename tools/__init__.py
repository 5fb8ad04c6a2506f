"""Programs for developers and users on a host: each is run as `.venv/bin/python -m tools.NAME`."""
