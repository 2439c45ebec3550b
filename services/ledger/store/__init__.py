"""The ledger's tables: `journal` writes and reads transactions, `seals` their hash blocks."""
