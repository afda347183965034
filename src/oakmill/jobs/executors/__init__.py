"""Where workers run: on this machine, or where an engine places them. The queue's rows decide who has a job."""
