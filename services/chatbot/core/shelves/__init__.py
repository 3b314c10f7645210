"""Files and vector stores in the OpenAI API's sense; a store is a collection of documents."""
