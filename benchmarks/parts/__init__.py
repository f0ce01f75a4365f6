"""What benchmarks are made of: servers, meters, rounds and tables."""
