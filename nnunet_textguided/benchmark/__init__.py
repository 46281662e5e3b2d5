"""What systems cost in time and memory, measured in turns on one machine. See docs/benchmark.md."""
