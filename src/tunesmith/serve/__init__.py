"""The service: the fine-tuning API that clients of the hosted ones call, on your own machine.

settings    what the operator decides: one frozen record
store       the tables of all that must survive, and the transactions in which they change
blobs       uploaded bytes on the disk
wire        requests and responses, as the published interface has them
errors      every refusal, in the interface's own shape
guard       who is calling, and how much they may
jobs        states, queue, leases, and the worker processes that train
chat        one resident base with many adapters
webhooks    messages to clients: written with what they tell of, signed, sent until they arrive
own         what the published interface does not have: looks, feedback, aliases
observe     logs, figures, readiness, and who changed what
backup      the whole state of a running service in one file, and back
service     all of that in one record, which routes are given
routes      ten-line functions from a request to a response
app         the application made of the routes
run         the server: its home, its port, what works beside it, and its end

Models, data and training are reached by the acts of `runs/` alone.
"""
