"""The work of audio2live: a page that paints what it hears. ``protocol`` is how it speaks with the server."""
