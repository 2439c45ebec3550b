"""Where merchants, keys, and the calls that made them are kept."""
