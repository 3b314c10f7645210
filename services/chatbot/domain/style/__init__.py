"""How characters speak, as far as a machine can check and mend it, and how answers are cut for voices (ADR 0026)."""
