"""The HTTP front that merchants talk to: permissive in what it reads, strict in what it passes on.

It owns no table and decides nothing about money. `reading` turns whatever a merchant sent into a
strict request; everything behind it handles that and nothing looser.
"""
