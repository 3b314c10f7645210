"""The cluster as the operator sees and changes it: API server, pods' status pages, download logs."""
