"""Values that nobody meant, from clients that nobody wrote: which of them kills a consumer."""
