"""The whole state of a service in one file, and back: `backup` and `restore`.

snapshot  the tables as they were at one moment, and the files that they refer to
archive   the file: a tar, its last member a list of all others with their hashes
act       both of them together, while the server runs
"""

from tunesmith.serve.backup.act import Backed, backup, restore

__all__ = ["Backed", "backup", "restore"]
