"""One file for each command: `make_parser()`, and `run(parsed)` that gives the exit code."""
