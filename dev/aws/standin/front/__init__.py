"""What stands before every service: who asks, may they, does a fault strike, and what was said."""
