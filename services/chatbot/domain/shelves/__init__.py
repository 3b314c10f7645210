"""Files and named stores of users, as the OpenAI API has them, over the documents that are made of them."""
