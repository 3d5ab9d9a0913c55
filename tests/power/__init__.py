"""Power losses over database and payload files."""
