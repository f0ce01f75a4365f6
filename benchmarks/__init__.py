"""What crproxy costs, measured next to others on one machine in one run. See docs/performance.md."""
