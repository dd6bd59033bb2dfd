"""The pure rules: no AWS, no model SDK, no environment, no clock."""
