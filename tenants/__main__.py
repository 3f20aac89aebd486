"""`python -m tenants ...` is `portico ...`: how the control plane is started as a process."""

from __future__ import annotations

from tenants.cli import main

if __name__ == "__main__":
    main()
