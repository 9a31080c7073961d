"""Jobs: their states, the queue, and the worker processes that train."""
