#!/usr/bin/env bash
# base-image.sh [NODE_BINARY] > rootfs.tar
# A minimal root file system around this machine's own Node, for engines that can pull no image:
# node, the libraries it is linked to, the certificate authorities, and name resolution. No shell, no package manager.
set -euo pipefail
[ "$(uname -s)" = Linux ] || { echo 'base-image: only a Linux machine has a Node that runs in a container' >&2; exit 1; }

node=$(readlink -f "${1:-$(command -v node)}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{app,dev,etc/ssl/certs,proc,run,sys,tmp,usr/local/bin}
chmod 1777 "$root/tmp"
cp "$node" "$root/usr/local/bin/node"

# libc loads the name services by itself, so the linker's list does not have them.
libc_folder=$(dirname "$(ldd "$node" | awk '/libc\.(so|musl)/ {print $3; exit}')")
{
  ldd "$node" | awk '/=> \// {print $3} $1 ~ /^\// {print $1}'
  for library in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2; do
    [ ! -e "$libc_folder/$library" ] || echo "$libc_folder/$library"
  done
} | sort -u | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done

for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
  [ -e "$bundle" ] || continue
  cp -L "$bundle" "$root/etc/ssl/certs/ca-certificates.crt"
  break
done
printf 'root:x:0:0:root:/:/nologin\nnode:x:10001:10001:node:/app:/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nnode:x:10001:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"

tar -C "$root" --numeric-owner --owner=0 --group=0 --mtime=@0 --sort=name -cf - .
