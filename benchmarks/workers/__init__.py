"""One file a contender. Each runs in its own process, takes a job and prints one line of JSON."""
