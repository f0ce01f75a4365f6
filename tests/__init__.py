"""The tests of crproxy, and the parts they are made of."""
