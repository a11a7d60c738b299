"""RDS's operations on real clusters."""
