"""Floor 4, runs: the acts. The only room that knows all five rooms below; one file an act."""
