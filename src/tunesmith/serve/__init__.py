"""The service: the fine-tuning API that clients of the hosted ones call, on your own machine.

settings    what the operator decides: one frozen record
store       the tables of all that must survive, and the transactions in which they change
blobs       uploaded bytes on the disk
wire        requests and responses, as the published interface has them
errors      every refusal, in the interface's own shape
guard       who is calling, and how much they may
jobs        states, queue, leases, and the worker processes that train
chat        one resident base with many adapters
service     all of that in one record, which routes are given
routes      ten-line functions from a request to a response
app         the application made of the routes

Models, data and training are reached by the acts of `runs/` alone.
"""
