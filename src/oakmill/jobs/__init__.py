"""When it runs: the queue, its workers, and the log of what they did."""
