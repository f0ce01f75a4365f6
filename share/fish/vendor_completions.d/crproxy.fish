# Completion of fish, for crproxy: what the command itself says.
crproxy completion fish | source
