"""Where keys are kept: SQLite on one machine, MongoDB in a cluster. Both implement `KeyStore`."""
