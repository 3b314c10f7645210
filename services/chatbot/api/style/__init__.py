"""How answers speak, on the wire: segments for voices, and rules that an answer broke, the same for every endpoint."""
