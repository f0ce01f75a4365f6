"""What is in deploy/: the Helm chart, the manifests made from it, and fleets without Kubernetes."""
