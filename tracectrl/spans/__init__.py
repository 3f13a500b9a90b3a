"""The forms in which a span is written: a flat line, and OTLP/JSON."""
