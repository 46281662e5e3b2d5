"""The command line: one module a command, and one table of them in `main`."""
