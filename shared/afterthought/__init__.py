"""Afterthought: reasoning models over HTTP that nobody has to wait for."""
