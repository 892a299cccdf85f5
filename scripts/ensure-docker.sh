#!/usr/bin/env bash
# Leaves a Docker engine that answers: a running one alone, an installed one started, or else Debian's docker.io
# installed and started. For CI on a bare machine, as root, also without systemd.
set -euo pipefail

host=${DOCKER_HOST:-unix:///var/run/docker.sock}
socket=${host#unix://}
patience=${DOCKER_WAIT_SECONDS:-60}
log=${DOCKERD_LOG:-/var/log/dockerd-ci.log}

say() { echo "ensure-docker: $*" >&2; }

refuse() {
  say "$1"
  exit 1
}

fail() {
  say "the end of $log:"
  tail -n 15 "$log" >&2 || true
  refuse "$1"
}

# By the client where there is one; curl otherwise, which comes with the installation below.
answers() {
  if command -v docker >/dev/null; then
    timeout 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
  else
    [ -S "$socket" ] && curl -fsS -m 3 --unix-socket "$socket" http://engine/_ping >/dev/null 2>&1
  fi
}

install_engine() {
  say 'installing docker.io'
  # Debian would start it at once through an init system that may not be there.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    made=1
  fi
  local packages=(docker.io iptables curl ca-certificates) done=
  local options=(-o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends)
  for attempt in as-is updated; do
    [ "$attempt" = as-is ] || apt-get update -qq >>"$log" 2>&1 || true
    if DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" "${packages[@]}" >>"$log" 2>&1; then
      done=1
      break
    fi
  done
  [ -z "$made" ] || rm -f "$policy"
  [ -n "$done" ] || fail 'docker.io could not be installed'
}

alive() { # PID NAME
  [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status"
}

# A pid file whose process is dead, a zombie or another program keeps the engine from starting.
remove_stale_pid_files() {
  local entry file pid
  for entry in docker.pid:dockerd docker/containerd/containerd.pid:containerd; do
    file=/var/run/${entry%%:*}
    [ -s "$file" ] || continue
    pid=$(cat "$file")
    alive "$pid" "${entry##*:}" || rm -f "$file"
  done
}

start_engine() { # FLAG...
  say "starting dockerd $*"
  # No proxy process for each published port; containers outlive the engine.
  setsid nohup dockerd -H "unix://$socket" --userland-proxy=false --live-restore "$@" \
    >>"$log" 2>&1 </dev/null 9>&- &
  local pid=$! deadline=$((SECONDS + patience))
  while [ "$SECONDS" -lt "$deadline" ]; do
    if answers; then return 0; fi
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.1
  done
  kill "$pid" 2>/dev/null || true
  return 1
}

if answers; then
  say "an engine answers at $host"
  exit 0
fi
[ "$host" != "$socket" ] || refuse "no engine answers at $host, and none can be started there"
[ "$(id -u)" = 0 ] || refuse "no engine answers at $host, and only root can start one"

# Two jobs on one machine must not install or start at once.
exec 9>/run/ensure-docker.lock
flock -w 300 9

command -v dockerd >/dev/null || install_engine
if ! grep -qE ' /sys/fs/cgroup(/[^ ]*)? cgroup' /proc/mounts; then
  mount -t cgroup2 none /sys/fs/cgroup || refuse 'no cgroups on this machine'
fi

remove_stale_pid_files
if ! answers && ! start_engine; then
  last=$(tail -n 15 "$log")
  if grep -qi iptables <<<"$last" && update-alternatives --set iptables /usr/sbin/iptables-legacy >/dev/null 2>&1; then
    start_engine || fail 'dockerd did not start'
  elif grep -qiE 'graphdriver|overlay' <<<"$last"; then
    start_engine --storage-driver=vfs || fail 'dockerd did not start'
  else
    fail 'dockerd did not start'
  fi
fi
say "an engine answers at $host"
