module crproxy.example/verifier

go 1.25.0
