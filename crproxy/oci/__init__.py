"""The distribution specification's vocabulary: pure values, no I/O, no Twisted."""
