"""Load tests of both services: users, records, figures, verdicts and a report."""
