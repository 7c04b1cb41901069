"""How the embedded model is made: sounds, pictures of sounds, and the two networks that learn them."""
