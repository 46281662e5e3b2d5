"""Label codes of public data sets and tools, and how they become the shared spine label set."""
