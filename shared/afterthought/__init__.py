"""Afterthought: asynchronous access to reasoning models over HTTP."""
