# Installing Debian packages, for the scripts beside this file.

# install_debian PACKAGE...: as root on Debian; otherwise says what to type and returns 1.
install_debian() {
    local command="apt-get install --yes --no-install-recommends $*"
    if [[ $(id -u) != 0 || ! -x /usr/bin/apt-get ]]; then
        printf 'Missing on this machine. On Debian, as root:\n\n    apt-get update && %s\n\n' "$command" >&2
        return 1
    fi
    printf 'Installing %s\n' "$*"
    start_no_services
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet=2
    $command --quiet=2 -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 >/dev/null
}

# Debian starts a daemon as soon as it is installed; nginx or dockerd of a test's wish list would take the
# machine's ports. Where a service manager runs, its policy says no for as long as this script lives: the
# file names our process, so even one that a SIGKILL leaves behind forbids nothing.
start_no_services() {
    local policy=/usr/sbin/policy-rc.d
    [[ -d /run/systemd/system && ! -e $policy ]] || return 0
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nkill -0 %d 2>/dev/null && exit 101\nexit 0\n' $$ >$policy
    chmod 755 $policy
}
