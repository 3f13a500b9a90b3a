"""Sessions to a store of many machines: the tables that they go to."""
