"""What merchants are shown: each shape as a typed dict, and how a message is rendered into it.

The types are what /openapi.json documents, and mypy holds the rendering to them, so that neither
can drift from the other. Amounts are whole minor units, words are in lower case, moments are
RFC 3339 in UTC, and what is not known is null, never left out.
"""
