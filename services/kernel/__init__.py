"""The words everyone shares: money, ids, time, errors, the strict request, outcomes, events.

Pure and small: no I/O, nothing generated, no framework. It owns no data and calls nobody; every
service, the gateway and the CLI import it, and agree by doing so on what a payment's words mean.
"""
