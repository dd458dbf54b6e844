"""A gallery behind a service, which `reid-hash serve` gives: http://HOST or https://HOST."""
