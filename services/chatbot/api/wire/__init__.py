"""Between the socket and the routes: reading bodies, telling who left, what every response carries."""
