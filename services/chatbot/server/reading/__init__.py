"""The process that reads documents: it joins the readers of formats with the core's cutting, and may be killed."""
