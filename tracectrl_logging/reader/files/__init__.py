"""Sessions in a directory of files: the store that everything is written to first."""
