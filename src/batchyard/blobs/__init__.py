"""Where bytes are kept: request bodies and sealed results."""
