"""Load, measurements and the sample upstream; no part of the installed distribution."""
