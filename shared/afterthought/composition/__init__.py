"""Builds the services of each function: `build` from ports, `from_environment` from the adapters on AWS."""
