"""The commands, one module each; none knows of another."""
