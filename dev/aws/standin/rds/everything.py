"""Imports every module that has actions, which registers them."""

from . import instances, modify, observed, offers, options, parameters, snapshots, subnets

__all__ = ["instances", "modify", "observed", "offers", "options", "parameters", "snapshots", "subnets"]
