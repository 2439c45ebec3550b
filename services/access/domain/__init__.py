"""Merchants, keys, what keys allow, and what makes a call safe to repeat; pure."""
