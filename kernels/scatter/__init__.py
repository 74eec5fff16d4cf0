"""Numbers put into the places of an array that an index names."""
