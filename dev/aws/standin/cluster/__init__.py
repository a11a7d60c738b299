"""Real PostgreSQL clusters on this machine."""
