"""What building Switchyard needs and running it does not: code from contracts, and releases."""
