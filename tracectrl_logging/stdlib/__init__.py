"""The faces for the standard library: filter, record factory, formatter and handler."""
