"""The shape of a log line, and its bytes: from a record, from an event, from what others rendered."""
