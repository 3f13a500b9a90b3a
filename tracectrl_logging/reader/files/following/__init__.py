"""Following: the last lines of sessions' files, and those that come."""
