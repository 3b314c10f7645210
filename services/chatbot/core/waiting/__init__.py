"""The parts of a waiting line: turns, measured times, promises and tickets. `core.admission` puts them together."""
