"""What is said of each path and each object in ``/openapi.json``."""
