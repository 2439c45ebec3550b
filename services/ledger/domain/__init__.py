"""The rules of double entry (`transaction`), and of proving that nothing changed (`seal`)."""
