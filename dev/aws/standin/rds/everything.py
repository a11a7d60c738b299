"""Imports every module that has actions, which registers them."""

from . import backups, instances, modify, observed, offers, options, parameters, snapshots, subnets

__all__ = ["backups", "instances", "modify", "observed", "offers", "options", "parameters", "snapshots", "subnets"]
