"""Generates the OpenAPI document and the documentation page that the api function serves."""
