"""Numbers and words over time, as users write them: of films, of pictures, of the live page."""
