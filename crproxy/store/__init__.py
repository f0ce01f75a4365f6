"""What is kept: bytes by digest, and who may have them."""
