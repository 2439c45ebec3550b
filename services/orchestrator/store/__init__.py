"""Where payments are kept: writes through group commit, reads by id and by filter, postings."""
