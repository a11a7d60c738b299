"""A local AWS whose RDS is real: PostgreSQL clusters on this machine behind RDS's own wire protocol, and moto for the rest."""
