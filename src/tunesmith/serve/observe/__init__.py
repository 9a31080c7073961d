"""What the operator sees of a running service, without anyone's contents.

logs      one JSON object a line
requests  a line and the figures of each request
metrics   figures for Prometheus
audit     who changed what, written before it is done
health    whether the service can do its work
"""
