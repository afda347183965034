"""Who compiles: vendors' tools, each in an environment and a sandbox of its own."""
