"""Imports every module that has actions, which registers them."""

from . import instances, options, parameters, snapshots, subnets

__all__ = ["instances", "options", "parameters", "snapshots", "subnets"]
