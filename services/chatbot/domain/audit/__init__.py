"""Who changed what: records that cannot be changed unseen, and the port of the store that keeps them."""
