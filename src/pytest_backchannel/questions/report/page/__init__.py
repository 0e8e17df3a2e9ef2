"""The report as one HTML page: what it shows, its template, its style sheet and its script."""
