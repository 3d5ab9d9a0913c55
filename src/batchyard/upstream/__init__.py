"""Model servers: one adapter a dialect."""
