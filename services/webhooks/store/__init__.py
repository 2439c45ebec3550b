"""Where events are kept, and how far the processors' lists were compared."""
