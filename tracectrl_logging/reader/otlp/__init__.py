"""OTLP/JSON: lines of it read, and lines written as it."""
