"""Requests and responses, as the published interface has them."""
