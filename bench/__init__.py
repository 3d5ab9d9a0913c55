"""What Batchyard costs and how fast it is, beside what one would use instead; for anyone to run (``make bench``).

Everything is measured through the public surface: ``batchyard serve`` as a process of its own, spoken to over HTTP.
It knows nothing of Batchyard's insides and imports none of it.
"""
