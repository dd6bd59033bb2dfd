"""Adapters: one file for each external system."""
