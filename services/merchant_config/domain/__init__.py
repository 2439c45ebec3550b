"""What a configuration says, when it may be stored, and how two of them differ."""
