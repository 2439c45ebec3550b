"""The addresses: each room declares its operations and answers them."""
