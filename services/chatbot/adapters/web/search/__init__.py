"""Providers of web search: what each is asked, and what its answer means."""
