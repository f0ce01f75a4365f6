from __future__ import annotations

import pytest

from crproxy.policy.rewriting.shell import places_in


def found(text: str) -> list[str]:
    return [text[place.start : place.end] for place in places_in(text)]


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("docker pull nginx", ["nginx"]),
        ("podman pull a b", ["a", "b"]),
        ("docker run -it --rm -p 80:80 -v a:b --name=x nginx nginx -g x", ["nginx"]),
        ("docker run -itp 80:80 nginx sh", ["nginx"]),
        ("docker run --network host --privileged nginx", ["nginx"]),
        ("docker container create -- nginx", ["nginx"]),
        ("docker --context x -H y run nginx", ["nginx"]),
        ("/usr/bin/docker image pull -q nginx", ["nginx"]),
        ("A=b sudo -E docker pull nginx", ["nginx"]),
        ("if ! docker pull nginx; then docker pull httpd; fi", ["nginx", "httpd"]),
        ("X=`docker run nginx`", ["nginx"]),
        ("$ docker pull nginx", ["nginx"]),
        ("docker pull nginx:$(cat version)", ["nginx:$(cat version)"]),
        ("docker pull 'nginx' # docker pull x", ["nginx"]),
        ("docker pull nginx >/dev/null", ["nginx", ">/dev/null"]),
        # what is there under the name by which it was pulled
        ("docker pull a\ndocker tag a b\ndocker rmi a c", ["a", "a", "a"]),
        ("docker tag a b", []),
        # what is made
        ("docker build -t a .", []),
        ("docker buildx build -t a --push .", []),
        ("docker push a", []),
        ("docker compose run a", []),
        ("docker", []),
        ("echo docker pull nginx", []),
        ("helm push x oci://a/b", []),
        ("skopeo copy docker-archive:x docker://a/b", []),
    ],
)
def test_what_a_command_fetches_is_an_image(text: str, images: list[str]) -> None:
    assert found(text) == images
