"""Where truth is kept: one adapter a database."""
