#!/bin/sh
# Makes the passwords that compose.yaml reads, each once; nobody else can read them.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
secret() { [ -s "secrets/$1" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "secrets/$1"; }
secret postgres_password
secret grafana_password
[ -s secrets/database.env ] ||
    printf 'DATABASE_URL=postgresql://postgres:%s@postgres:5432/novate\n' "$(cat secrets/postgres_password)" > secrets/database.env
