"""HTTP in, HTTP out: schemas, routes, streams and the one error table. Decisions are made in `chatbot.core`."""
