from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.image_pages import image_of_page


@pytest.mark.parametrize(
    ("address", "image"),
    [
        ("https://hub.docker.com/_/nginx?tab=tags", "docker.io/library/nginx"),
        ("https://hub.docker.com/r/grafana/grafana/tags", "docker.io/grafana/grafana"),
        ("https://hub.docker.com/layers/library/nginx/1.27/images/sha256-0", "docker.io/library/nginx:1.27"),
        ("https://hub.docker.com/repository/docker/org/app/general", "docker.io/org/app"),
        ("https://quay.io/repository/prometheus/busybox?tab=info", "quay.io/prometheus/busybox"),
        ("https://quay.io/repository/prometheus/busybox?tab=tags&tag=v1", "quay.io/prometheus/busybox:v1"),
        ("https://github.com/Org/Repo/pkgs/container/App", "ghcr.io/org/app"),
        ("https://github.com/org/repo/pkgs/container/charts%2Fweb/1234?tag=v1", "ghcr.io/org/charts/web:v1"),
        ("https://github.com/orgs/org/packages/container/package/app", "ghcr.io/org/app"),
        ("https://github.com/orgs/org/packages/container/app/versions", "ghcr.io/org/app"),
        ("https://github.com/users/me/packages/container/package/app", "ghcr.io/me/app"),
        ("https://gallery.ecr.aws/docker/library/nginx", "public.ecr.aws/docker/library/nginx"),
        ("gallery.ecr.aws/lambda/python#tags", "public.ecr.aws/lambda/python"),
        ("https://mcr.microsoft.com/en-us/artifact/mar/dotnet/sdk/about", "mcr.microsoft.com/dotnet/sdk"),
        ("https://mcr.microsoft.com/artifact/mar/azure-cli", "mcr.microsoft.com/azure-cli"),
        ("https://mcr.microsoft.com/en-us/product/dotnet/aspnet/tags", "mcr.microsoft.com/dotnet/aspnet"),
        ("https://catalog.ngc.nvidia.com/orgs/nvidia/containers/pytorch/tags", "nvcr.io/nvidia/pytorch"),
        (
            "https://catalog.ngc.nvidia.com/orgs/nvidia/teams/k8s/containers/dcgm-exporter",
            "nvcr.io/nvidia/k8s/dcgm-exporter",
        ),
        ("https://ngc.nvidia.com/catalog/containers/nvidia:k8s:dcgm-exporter", "nvcr.io/nvidia/k8s/dcgm-exporter"),
        ("https://console.cloud.google.com/gcr/images/distroless/GLOBAL/static", "gcr.io/distroless/static"),
        ("https://console.cloud.google.com/gcr/images/p/EU/a/b", "eu.gcr.io/p/a/b"),
        ("https://console.cloud.google.com/artifacts/docker/p/us/r/n", "us-docker.pkg.dev/p/r/n"),
    ],
)
def test_a_page_is_about_an_image(address: str, image: str) -> None:
    assert image_of_page(address) == image


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://",
        "https://example.com/_/nginx",
        "https://github.com/org/repo",
        "https://quay.io/prometheus/busybox",
        "https://gallery.ecr.aws/docker",
        "https://mcr.microsoft.com/dotnet/sdk",
        "https://catalog.ngc.nvidia.com/orgs/nvidia/models/x",
        "https://hub.docker.com/search?q=nginx",
        "https://hub.docker.com/_/nginx" + "/x" * 1000,
    ],
)
def test_any_other_is_not(address: str) -> None:
    assert image_of_page(address) is None


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    image_of_page(text)
    image_of_page(f"https://github.com/{text}")
