#!/usr/bin/env bash
# Makes .env with random secrets for compose.yaml, and a certificate for localhost in deploy/certs/. What is there
# stays.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 077

if [ ! -e .env ]; then
  for name in POSTGRES_ROOT_PASSWORD POSTGRES_PASSWORD MONGO_ROOT_PASSWORD MONGO_PASSWORD MONGO_KEY REDIS_PASSWORD \
    SECRET_KEY_JWT HEALTH_SECRET_KEY API_KEY_AI CHANNEL_KEY ADMIN_KEY; do
    printf '%s=%s\n' "$name" "$(openssl rand -hex 32)"
  done >.env
  echo "made .env"
fi
if [ ! -e deploy/certs/cert.pem ]; then
  mkdir -p deploy/certs
  openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -keyout deploy/certs/key.pem -out deploy/certs/cert.pem 2>/dev/null
  # nginx runs as user 101 in its container; nobody else may read its key.
  chmod 755 deploy/certs
  chmod 644 deploy/certs/cert.pem
  chmod 600 deploy/certs/key.pem
  if [ "$(id -u)" = 0 ]; then
    chown 101 deploy/certs/key.pem
  else
    echo "give the key to nginx: sudo chown 101 deploy/certs/key.pem"
  fi
  echo "made a certificate for localhost in deploy/certs/"
fi
