"""The dashboard: pages for people, filled in on the server. Handlers are thin; what they show, other modules know."""
