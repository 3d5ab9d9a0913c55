"""Dispatchers on a Ray cluster: where they run, how many, beside which engines. No state that matters lives in Ray."""
